"""`pack` passes its options on."""

from __future__ import annotations

from typing import Any

import pytest

from bundle.cli.main import main


@pytest.mark.parametrize("is_on", [False, True])
def test_options_reach_the_pack(is_on: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[Any] = []

    def write_pack(*call: Any, **options: Any) -> str:
        called.append((call, options))
        return "out"

    monkeypatch.setattr("bundle.export.pack.write_pack", write_pack)
    assert main(["pack", "volumes", "out", *(["--overwrite", "--zip", "--model", "m"] if is_on else [])]) == 0
    assert called == [(("volumes", "out"), {"model": "m" if is_on else None, "overwrite": is_on, "archive": is_on})]
