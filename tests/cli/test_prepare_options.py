"""A datalist goes where it is asked for, and never over a file that was handed out with the dataset."""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path
from typing import Any

import pytest

from bundle.cli.prepare_options import add_dataset, add_split, report_datalist
from bundle.data import DatalistError

PREPARED = f"{__name__}:prepared"


def prepared(root: str, *, test_share: float, folds: int, seed: int) -> dict[str, Any]:
    """Stand for a function that lists a dataset."""
    return {"seed": seed, "training": [{"image": f"{folds}.nii.gz", "share": test_share}], "test": []}


def run(*words: str) -> None:
    parser = argparse.ArgumentParser()
    add_split(add_dataset(parser.add_subparsers(), "mine", PREPARED, description="a dataset", folder="folder"), folds=4)
    args = parser.parse_args(["mine", *words])
    args.prepare(args)


def test_the_options_of_a_command_are_those_of_its_function(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    run(str(tmp_path), "--test_share", "0.5", "--seed", "3")
    wanted = {"seed": 3, "training": [{"image": "4.nii.gz", "share": 0.5}], "test": []}
    assert json.loads((tmp_path / "dataset.json").read_text()) == wanted
    assert f"{tmp_path / 'dataset.json'}: 1 training cases, 0 test cases" in caplog.text


def test_cases_that_were_rated_as_failed_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "qc.csv").write_text("case,rating\n3,fail\n4,pass\n")
    with pytest.raises(DatalistError, match="1 of its names fit no case: 3"):
        run(str(tmp_path), "--qc", str(tmp_path / "qc.csv"))
    (tmp_path / "qc.csv").write_text("case,rating\n4,needs correction\n")
    run(str(tmp_path), "--qc", str(tmp_path / "qc.csv"))
    content = json.loads((tmp_path / "dataset.json").read_text())
    assert (len(content["training"]), content["review"]["left_out"]) == (1, [])
    with pytest.raises(DatalistError, match="all cases are left out"):
        run(str(tmp_path), "--qc", str(tmp_path / "qc.csv"), "--qc_keep", "passed")


def test_a_datalist_of_an_earlier_run_is_replaced(tmp_path: Path) -> None:
    run(str(tmp_path))
    run(str(tmp_path), "--seed", "1")
    assert json.loads((tmp_path / "dataset.json").read_text())["seed"] == 1


def test_a_dataset_may_want_another_name_for_the_file(tmp_path: Path) -> None:
    parser = argparse.ArgumentParser()
    command = add_dataset(parser.add_subparsers(), "x", PREPARED, description="", folder="", target="datalist.json")
    add_split(command)
    args = parser.parse_args(["x", str(tmp_path)])
    args.prepare(args)
    assert (tmp_path / "datalist.json").is_file()


@pytest.mark.parametrize("content", ['{"name": "Task04", "training": []}', "no JSON"])
def test_a_file_of_the_dataset_is_left_as_it_is(content: str, tmp_path: Path) -> None:
    (tmp_path / "dataset.json").write_text(content)
    with pytest.raises(DatalistError, match=r"dataset.json: was not written by prepare and is kept; pass --o"):
        run(str(tmp_path))
    assert (tmp_path / "dataset.json").read_text() == content
    run(str(tmp_path), "--output", str(tmp_path / "new" / "list.json"))
    assert (tmp_path / "new" / "list.json").is_file()


def test_skipped_cases_are_counted_and_end_the_command_with_status_2(caplog: pytest.LogCaptureFixture) -> None:
    content = {"training": [], "skipped": [{"case": "a", "message": "a.nii.gz: is empty; copy it again."}]}
    with pytest.raises(SystemExit) as ended:
        report_datalist(content, "dataset.json")
    assert ended.value.code == 2
    assert "skipped: a.nii.gz: is empty; copy it again." in caplog.text
    assert "1 cases skipped; they are listed under 'skipped' in dataset.json" in caplog.text
