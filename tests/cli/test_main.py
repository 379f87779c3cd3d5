from __future__ import annotations

import importlib
import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.workflows import small_dataset

import bundle.cli.main as commands
from bundle import ROOT


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


def test_a_mistake_is_logged_in_one_line_with_status_2(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert commands.main(["prepare", "folder", str(tmp_path / "no"), "--output", str(tmp_path / "x.json")]) == 2
    assert "is not a folder; pass" in caplog.text


def test_another_error_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bundle.export.model_card.write_model_card", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        commands.main(["card"])


def test_the_usage_names_the_script_or_the_module(monkeypatch: pytest.MonkeyPatch) -> None:
    for script, program in (("/usr/bin/keyslice", "keyslice"), ("bundle/__main__.py", "python -m bundle")):
        monkeypatch.setattr("sys.argv", [script])
        assert commands.build_parser().prog == program


HELP_OF_ALL_COMMANDS = """
import argparse, contextlib, io, sys
from bundle.cli.main import build_parser

def parsers(parser):
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for child in action.choices.values():
                yield from parsers(child)

count = len([parser.format_help() for parser in parsers(build_parser())])
print(count, sorted({"torch", "monai", "numpy", "ignite"} & sys.modules.keys()))
"""


def test_the_help_of_every_command_imports_nothing_heavy() -> None:
    command = [sys.executable, "-W", "error", "-c", HELP_OF_ALL_COMMANDS]
    shown = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    count, imported = shown.split(maxsplit=1)
    assert int(count) > len(commands.COMMANDS) + 16
    assert imported == "[]\n"


def test_the_package_runs_as_a_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr("sys.argv", ["bundle", "--help"])
    with pytest.raises(SystemExit) as end:
        runpy.run_module("bundle", run_name="__main__")
    assert end.value.code == 0
    assert "prepare" in capsys.readouterr().out


def test_an_option_that_a_command_does_not_have_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        commands.main(["root", "--nothing"])
    assert caught.value.code == 2
    assert "unrecognized arguments: --nothing" in capsys.readouterr().err


def test_an_import_of_the_main_module_runs_no_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "bundle.__main__", raising=False)
    assert importlib.import_module("bundle.__main__").main is commands.main
    monkeypatch.delitem(sys.modules, "bundle.__main__")
