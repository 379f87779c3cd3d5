"""`plan` reads the hours and the memory."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest

from bundle.cli.main import main
from bundle.cli.plan_command import memory_gb


@pytest.mark.parametrize(("text", "value"), [("8", 8), ("8G", 8), ("512m", 0.5), ("1.5 GiB", 1.5)])
def test_memory_is_in_gb(text: str, value: float) -> None:
    assert memory_gb(text) == value


@pytest.mark.parametrize("text", ["much", "0", "8T", "-1"])
def test_what_is_no_memory_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is not an amount of memory"):
        memory_gb(text)


def test_options_reach_the_planner(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    called: list[Any] = []
    monkeypatch.setattr("bundle.planning.plan_training", lambda *call, **options: called.append((call, options)))
    assert main(["plan", "data", "--output_dir", str(tmp_path), "--hours", "2", "--memory", "8G", "--explain"]) == 0
    (call, options) = called[0]
    assert call == ("data", str(tmp_path))
    assert (options["hours"], options["memory_gb"], options["device"], options["explain"]) == (2, 8, "auto", True)


def test_a_mistake_is_one_line_with_status_2(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert main(["plan", str(tmp_path), "--output_dir", str(tmp_path / "plan")]) == 2
    assert "holds neither" in caplog.text
