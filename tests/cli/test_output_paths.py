"""A path that cannot be written is refused by every command, in one line and before any work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bundle.cli import output_paths
from bundle.cli.main import build_parser
from bundle.cli.output_paths import output_file, output_folder

FILES = {
    "skeleton": "skeleton DATA --output OUT",
    "average": "average a.pt b.pt --output OUT",
    "convert": "convert a.pth --output OUT",
    "prepare": "prepare folder DATA --output OUT",
}
FOLDERS = {
    "check": "check DATA --output_dir OUT",
    "compare": "compare --output_dir OUT",
    "crossval": "crossval --output_dir OUT",
    "demo": "demo --output_dir OUT",
    "pack": "pack volumes OUT",
    "phantom": "prepare phantom msd OUT",
    "spine": "prepare spine-exams DATA --output OUT",
    "masks": "prepare segpc2021 DATA --masks_dir OUT",
}


def refused(command: str, path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as stopped:
        build_parser().parse_args([str(path) if word == "OUT" else word for word in command.split()])
    assert stopped.value.code == 2
    return capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("name", FILES)
def test_a_folder_is_not_a_file(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert f"{tmp_path}: is a folder; name a file in it" in refused(FILES[name], tmp_path, capsys)


@pytest.mark.parametrize("name", FOLDERS)
def test_a_file_is_not_a_folder(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert f"{tmp_path / 'file'}: is a file; name a folder" in refused(FOLDERS[name], tmp_path / "file", capsys)


@pytest.mark.parametrize("name", [*FILES, *FOLDERS])
def test_nothing_lies_below_a_file(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    line = refused({**FILES, **FOLDERS}[name], tmp_path / "file" / "a" / "b.json", capsys)
    assert f"lies below {tmp_path / 'file'}, which is a file; name a path in a folder" in line


@pytest.mark.parametrize("check", [output_file, output_folder])
def test_a_folder_that_is_read_only_is_named(
    check: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output_paths.os, "access", lambda *_: False)
    with pytest.raises(output_paths.argparse.ArgumentTypeError, match=f"since {tmp_path} is read-only"):
        check(str(tmp_path / "a" / "b"))


def test_paths_that_can_be_written_are_taken_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "old.json").touch()
    for text in (f"{tmp_path}/old.json", f"{tmp_path}/new/a.json", "a.json"):
        assert output_file(text) == text
    for text in (str(tmp_path), f"{tmp_path}/new/a", "."):
        assert output_folder(text) == text
