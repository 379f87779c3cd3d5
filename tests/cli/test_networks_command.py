"""`networks` measures the networks and writes their table."""

from __future__ import annotations

from typing import Any

import pytest

from bundle.cli.main import main


@pytest.mark.parametrize(("words", "repeats"), [([], 3), (["--repeats", "7"], 7)])
def test_what_was_measured_is_written(words: list[str], repeats: int, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[Any] = []
    monkeypatch.setattr("bundle.export.network_table.measure_networks", lambda *, repeats: f"measured {repeats} times")
    monkeypatch.setattr("bundle.export.network_table.write_network_table", called.append)
    assert main(["networks", *words]) == 0
    assert called == [f"measured {repeats} times"]
