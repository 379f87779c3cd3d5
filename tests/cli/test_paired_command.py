"""`paired` compares two folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bundle.cli.main import main


def test_folders_reach_the_comparison(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    called: list[Any] = []
    monkeypatch.setattr("bundle.experiments.paired.compare_evaluations", lambda *call: called.append(call))
    assert main(["paired", "a", "b", "--output_dir", str(tmp_path)]) == 0
    assert called == [("a", "b", str(tmp_path))]


def test_a_mistake_is_one_line_with_status_2(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert main(["paired", str(tmp_path), str(tmp_path)]) == 2
    assert "is not the table of an evaluation" in caplog.text
