"""``python -m bundle label`` until it becomes the server."""

from __future__ import annotations

import logging
import os
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from bundle import ROOT
from bundle.cli import main as commands
from bundle.server import start_command as command
from bundle.server.server_errors import StudiesError


@pytest.fixture
def studies(tmp_path: Path) -> Path:
    """A folder with one empty file that is named like a volume."""
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "a.nii.gz").touch()
    return tmp_path / "studies"


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Any]:
    """The arguments of ``os.execve``: interpreter, command, environment."""
    calls: list[Any] = []
    monkeypatch.setattr(os, "execve", lambda *call: calls.append(call))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return calls


def label(studies: Path, *options: str) -> int:
    return commands.main(["label", "--studies", str(studies), "--port", "0", *options])


def test_the_command_becomes_the_server(studies: Path, started: list[Any], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        assert label(studies) == 0
    python, words, environment = started[0]
    work = command.default_work_dir(studies)
    assert python == sys.executable
    assert words[:6] == [python, "-W", "ignore", "-m", "monailabel.main", "start_server"]
    options = dict(zip(words[6:-3:2], words[7:-3:2], strict=False))
    assert (options["--app"], options["--studies"], options["--host"]) == (str(work), str(studies), "127.0.0.1")
    assert words[-5:] == ["--conf", "models", "volumes,discs", "--uvicorn_app", "bundle.server.web_app:app"]
    assert environment["MONAI_LABEL_SESSION_PATH"] == str(work / "sessions")
    assert environment["PYTHONPATH"].split(os.pathsep)[0] == ROOT
    assert "serves volumes,discs on" in caplog.text
    assert "no password" not in caplog.text
    assert "KeysliceApp" in (work / "main.py").read_text()
    assert Path.cwd() == work


def test_the_working_folder_depends_on_the_studies_and_can_be_chosen(
    studies: Path, started: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command.default_work_dir(studies) == command.default_work_dir(studies)
    assert command.default_work_dir(studies) != command.default_work_dir(tmp_path / "other" / "studies")
    assert label(studies, "--work", str(tmp_path / "mine"), "--models", "discs") == 0
    assert started[0][1][7] == str(tmp_path / "mine")
    made = sorted(path.name for path in (tmp_path / "mine").iterdir())
    assert made == [".lock", "main.py", "results", "sessions", "uploads"]
    monkeypatch.delenv("XDG_DATA_HOME")
    assert command.default_work_dir(studies).is_relative_to(Path.home() / ".local" / "share" / "keyslice")


def test_ratings_reach_the_server(
    studies: Path, started: list[Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    qc = tmp_path / "qc.csv"
    qc.write_text(f"case,input,rating\na,{studies}/a.nii.gz,fail\n")
    with caplog.at_level(logging.INFO):
        assert commands.main(["label", "--qc", "qc.csv", "--port", "0"]) == 0
    words = started[0][1]
    assert words[words.index("--studies") + 1] == str(studies)
    assert words[words.index("qc") - 1 : words.index("qc") + 2] == ["--conf", "qc", str(qc)]
    assert "1 images failed or need correction; the strategy 'review' offers them first" in caplog.text


def test_ratings_of_other_images_are_refused(
    studies: Path, started: list[Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "qc.csv").write_text("case,rating\nb,fail\n")
    assert label(studies, "--qc", "qc.csv") == 2
    assert "1 of its names fit no case: b" in caplog.text
    assert not started


def test_files_of_earlier_responses_are_deleted_at_the_start(tmp_path: Path) -> None:
    command.prepare_work_dir(tmp_path)
    (tmp_path / "results" / "result_x.nii.gz").touch()
    (tmp_path / "results" / "folder").mkdir()
    (tmp_path / "uploads" / "tmpx").mkdir()
    command.prepare_work_dir(tmp_path)
    assert [*(tmp_path / "results").iterdir(), *(tmp_path / "uploads").iterdir()] == []


def test_a_folder_with_other_files_is_not_a_working_folder(
    studies: Path, started: list[Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    work = tmp_path / "project"
    (work / "results").mkdir(parents=True)
    (work / "results" / "paper.csv").write_text("mine")
    assert label(studies, "--work", str(work)) == 2
    (work / "main.py").write_text("print('mine')")
    assert label(studies, "--work", str(work)) == 2
    assert "holds other files, and the server deletes its results and uploads" in caplog.text
    assert not started
    assert (work / "results" / "paper.csv").read_text() == "mine"


def test_two_servers_cannot_share_a_working_folder(tmp_path: Path) -> None:
    lock = command.lock_work_dir(tmp_path / "work")
    assert os.get_inheritable(lock)
    with pytest.raises(StudiesError, match="another server uses this folder"):
        command.lock_work_dir(tmp_path / "work")
    os.close(lock)
    os.close(command.lock_work_dir(tmp_path / "work"))


def test_the_bundle_is_not_a_working_folder(
    studies: Path, started: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    assert label(studies, "--work", f"{ROOT}/label_app") == 2
    assert "is inside the bundle" in caplog.text
    assert not started


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--models", "cells"], "cannot read"),
        (["--models", "knees"], "is not a model of this bundle"),
        (["--host", "203.0.113.1"], "cannot listen on this address"),
    ],
)
def test_errors_are_reported_before_the_server_starts(
    options: list[str], message: str, studies: Path, started: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    assert label(studies, *options) == 2
    assert message in caplog.text
    assert not started


def test_a_port_in_use_is_reported() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(StudiesError, match="pass another --port"):
            command.check_port("127.0.0.1", other.getsockname()[1])


def test_listening_to_the_network_logs_a_warning(
    studies: Path, started: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    assert label(studies, "--host", "0.0.0.0") == 0  # noqa: S104 - nothing listens
    assert "no password" in caplog.text


def test_without_monai_label_the_environment_of_the_server_is_used(
    studies: Path,
    started: list[Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(command.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(command, "ROOT", str(tmp_path))
    assert label(studies, "--work", str(tmp_path.parent / f"{tmp_path.name}_work")) == 2
    assert f"install {tmp_path}/requirements/label_server.txt and keyslice there" in caplog.text
    (tmp_path / "Makefile").touch()
    assert label(studies, "--work", str(tmp_path.parent / f"{tmp_path.name}_work")) == 2
    assert f"make -C {tmp_path} {command.ENVIRONMENT}/.label" in caplog.text
    python = tmp_path / command.ENVIRONMENT / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    assert command.find_python() == str(python)
