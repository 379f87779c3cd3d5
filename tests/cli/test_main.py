from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import pytest
from helpers.workflows import small_dataset

import bundle.cli.main as commands


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the logging of the test run alone."""
    monkeypatch.setattr(commands.logging, "basicConfig", lambda **_: None)


def test_prepare_writes_a_datalist(tmp_path: Path) -> None:
    data = small_dataset(tmp_path / "data", count=5)
    target = tmp_path / "split.json"
    assert (
        commands.main(["prepare", "folder", str(data), "--output", str(target), "--test_share", "0.4", "--folds", "3"])
        == 0
    )
    content = json.loads(target.read_text())
    assert (len(content["training"]), len(content["test"])) == (3, 2)


def test_a_mistake_is_told_in_one_line_with_status_2(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert commands.main(["prepare", "folder", str(tmp_path / "no"), "--output", str(tmp_path / "x.json")]) == 2
    assert "is not a folder; pass" in caplog.text


def test_demo_and_card_are_called_with_their_options(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[Any] = []
    monkeypatch.setattr(commands, "run_demo", called.append)
    monkeypatch.setattr(commands, "write_model_card", lambda: called.append("card"))
    assert commands.main(["demo", "--output_dir", "somewhere"]) == 0
    assert commands.main(["card"]) == 0
    assert called == ["somewhere", "card"]


@pytest.mark.filterwarnings("ignore:'bundle.cli.main' found in sys.modules:RuntimeWarning")
def test_the_package_runs_as_a_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr("sys.argv", ["bundle", "--help"])
    with pytest.raises(SystemExit) as end:
        runpy.run_module("bundle", run_name="__main__")
    assert end.value.code == 0
    assert "prepare" in capsys.readouterr().out
