"""The folder of an experiment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bundle.experiments import ExperimentError, open_output

PLAN = {"epochs": 3, "train": {"rate": 0.1, "net": {"channels": [4, 8]}}}
LIST = {"seed": 0, "training": [{"image": "a", "fold": 0}], "test": []}


def changed(**values: Any) -> dict[str, Any]:
    return {**PLAN, **values}


def test_only_the_same_plan_resumes_in_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "out"
    open_output(PLAN, folder, "trial")
    open_output(PLAN, folder, "trial")
    assert json.loads((folder / "plan.json").read_text()) == PLAN
    with pytest.raises(ExperimentError, match=r"holds another trial: epochs is 3 there and 4 here\. Pass another"):
        open_output(changed(epochs=4), folder, "trial")


def test_the_ids_that_differ_are_named(tmp_path: Path) -> None:
    open_output(PLAN, tmp_path, "trial")
    other = {"rate": 0.2, "net": {"channels": [4, 8, 16]}, "seed": 1}
    with pytest.raises(ExperimentError) as error:
        open_output(changed(train=other), tmp_path, "trial")
    message = str(error.value)
    assert "train#net#channels is [4, 8] there and [4, 8, 16] here; train#rate is 0.1 there and 0.2 here" in message
    assert "train#seed is null there and 1 here" in message


def test_long_values_and_many_differences_are_shortened(tmp_path: Path) -> None:
    open_output({"cases": ["x" * 90]}, tmp_path / "one", "trial")
    with pytest.raises(ExperimentError, match=r"another trial: cases differs\. Pass"):
        open_output({"cases": ["y"]}, tmp_path / "one", "trial")
    open_output({str(number): 0 for number in range(7)}, tmp_path / "two", "trial")
    with pytest.raises(ExperimentError, match=r"3 is 0 there and 1 here; and 3 more\. Pass"):
        open_output({str(number): 1 for number in range(7)}, tmp_path / "two", "trial")


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for place in (tmp_path, tmp_path / "file"):
        with pytest.raises(ExperimentError, match="is not empty and is not a trial"):
            open_output(PLAN, place, "trial")
    (tmp_path / "empty").mkdir()
    open_output(PLAN, tmp_path / "empty", "trial")


def test_partial_files_of_an_interruption_do_not_matter(tmp_path: Path) -> None:
    (tmp_path / ".partial_plan.json").write_text("{")
    open_output(PLAN, tmp_path, "trial", datalist=LIST)
    (tmp_path / "datalist.json").unlink()
    for _ in range(2):
        open_output(PLAN, tmp_path, "trial", datalist=LIST)
    assert json.loads((tmp_path / "datalist.json").read_text()) == LIST


def test_a_damaged_plan_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text("{")
    with pytest.raises(ExperimentError, match=r"plan\.json: is damaged"):
        open_output(PLAN, tmp_path, "trial")
