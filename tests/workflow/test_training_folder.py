"""A training in a folder is neither replaced nor deleted by mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundle.workflow.training_folder import FILES, TrainingFolderError, clear_training, require_no_training


@pytest.mark.parametrize("name", FILES)
def test_a_folder_with_a_training_is_refused(name: str, tmp_path: Path) -> None:
    require_no_training(tmp_path / "new")
    require_no_training(tmp_path)
    (tmp_path / name).touch()
    with pytest.raises(TrainingFolderError, match=f"holds a training already \\({name}\\): pass --resume true"):
        require_no_training(tmp_path)


def test_only_the_first_of_several_processes_looks_and_deletes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "last.pt").touch()
    (tmp_path / "notes.txt").touch()
    monkeypatch.setenv("RANK", "1")
    require_no_training(tmp_path)
    clear_training(tmp_path)
    assert (tmp_path / "last.pt").is_file()
    monkeypatch.setenv("RANK", "0")
    clear_training(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]
