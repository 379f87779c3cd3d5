"""The workflows in ``configs/`` are what ``tools/make_configs.py`` writes from their sources."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from helpers.tools import load_tool

from bundle import ROOT

make_configs = load_tool("make_configs")
TEXTS: dict[str, str] = make_configs.configs()


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder that takes the place of the repository for what is written."""
    monkeypatch.setattr(make_configs, "ROOT", tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", TEXTS)
def test_the_committed_file_is_what_its_source_writes(name: str) -> None:
    assert Path(ROOT, "configs", name).read_text(encoding="utf-8") == TEXTS[name], "run make configs"


def test_all_files_are_written_and_then_agree(root: Path) -> None:
    assert make_configs.main([]) == 0
    written = {path.relative_to(root / "configs").as_posix() for path in root.rglob("*") if path.is_file()}
    assert written == set(TEXTS)
    assert make_configs.main(["--check"]) == 0


def test_a_file_that_differs_fails_the_check_and_is_not_written(root: Path) -> None:
    make_configs.main([])
    changed = root / "configs" / "train.json"
    changed.write_text("{}\n", encoding="utf-8")
    assert make_configs.main(["--check"]) == 1
    assert changed.read_text(encoding="utf-8") == "{}\n"


def test_a_missing_file_fails_the_check(root: Path) -> None:
    assert make_configs.main(["--check"]) == 1
    assert not any(root.iterdir())


def test_dictionaries_are_merged_and_all_else_is_replaced() -> None:
    base = {"a": {"x": 1, "y": [1, 2]}, "b": {"z": 1}, "c": 1}
    changes = {"a": {"y": [3], "w": None}, "b": 2, "c": {"v": 0}, "d": 4}
    assert make_configs.merge(base, changes) == {"a": {"x": 1, "y": [3], "w": None}, "b": 2, "c": {"v": 0}, "d": 4}


def test_a_key_is_removed_at_any_depth() -> None:
    base = {"a": {"x": 1, "y": 2}, "b": 1}
    assert make_configs.merge(base, {"a": {"x": "&remove"}, "b": "&remove"}) == {"a": {"y": 2}}


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of small sources: what two tasks share, and one task."""
    monkeypatch.setattr(make_configs, "SOURCES", tmp_path)
    _write(
        tmp_path / "base.json",
        {
            "train infer": {"output": "{task}{workflow}", "steps": ["&load"], "pieces": {"load": {"file": "&name"}}},
            "train": {"epochs": 1, "pieces": {"name": "a"}},
            "infer": {"pieces": {"name": "b"}},
        },
    )
    _write(tmp_path / "task.json", {"extends": "base", "train": {"epochs": 2}})
    return tmp_path


def _write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")


def test_a_task_changes_a_workflow_and_names_pieces(sources: Path) -> None:
    order = ["epochs", "output", "steps"]
    train = make_configs.build("task", "train", "spine/train.json", order)
    assert train == {"output": "spine/train", "steps": [{"file": "a"}], "epochs": 2}
    assert list(train) == order
    infer = make_configs.build("task", "infer", "infer.json", order)
    assert infer == {"output": "infer", "steps": [{"file": "b"}]}


def test_an_id_without_a_place_is_an_error(sources: Path) -> None:
    with pytest.raises(ValueError, match=r"steps must have a place in .*order\.json"):
        make_configs.build("task", "infer", "infer.json", ["output"])


def test_a_piece_that_is_missing_is_an_error(sources: Path) -> None:
    _write(sources / "task.json", {"extends": "base", "train": {"steps": ["&lod"]}})
    with pytest.raises(ValueError, match="no piece '&lod'; the pieces are load, name"):
        make_configs.build("task", "train", "train.json", ["output", "steps", "epochs"])


@pytest.mark.parametrize("value", [{}, [], {"a": [1, 2], "b": {"c": "d"}}, {"é": ["x" * 90, {"y": "z" * 40}]}])
def test_the_text_holds_the_same_values_in_lines_of_at_most_120_characters(value: Any) -> None:
    text = make_configs.dump(value)
    assert json.loads(text) == value
    assert all(len(line) <= 120 for line in text.splitlines())


def test_what_fits_into_a_line_is_on_one() -> None:
    assert make_configs.dump({"a": {"b": [1, 2]}}) == '{\n    "a": {"b": [1, 2]}\n}'
    long = make_configs.dump({"a": ["x" * 60, "y" * 60]})
    assert long.splitlines() == ["{", '    "a": [', f'        "{"x" * 60}",', f'        "{"y" * 60}"', "    ]", "}"]
