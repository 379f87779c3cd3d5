"""`convert` passes the options of the original training on."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from bundle.cli.main import main


def test_options_reach_the_conversion(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    called: list[Any] = []
    converted = SimpleNamespace(found="a V-Net")
    monkeypatch.setattr(
        "bundle.legacy.convert.convert_checkpoint", lambda file, **options: called.append((file, options)) or converted
    )
    monkeypatch.setattr("bundle.legacy.convert.write_converted", lambda *call: called.append(call) or "new.json")
    words = ["--slice_pooling", "max", "--layer_order", "cbr", "--groups", "4", "--roi_size", "8", "16", "24"]
    with caplog.at_level("INFO"):
        assert main(["convert", "old.pth", "--output", "new.pt", *words]) == 0
    options = {"model": None, "slice_pooling": "max", "channel_pooling": "avg", "layer_order": "cbr", "groups": 4}
    assert called == [("old.pth", options), (converted, "new.pt", [8, 16, 24])]
    assert "old.pth: a V-Net; wrote new.pt and new.json" in caplog.text
