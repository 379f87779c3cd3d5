"""Predictions of any tool take the place of those of a network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bundle.data import DatalistError
from bundle.inference import CaseDataset, GivenPredictions
from bundle.io.input_checks import UnreadableFileError

CASE = {"case": "a", "image": "in/a.nii.gz", "label": "in/a_seg.nii.gz"}


def load(case: dict[str, Any]) -> dict[str, Any]:
    return {**case, "pred": Path(case["prediction"]).name}


def test_a_dataset_loads_the_prediction_of_a_case(tmp_path: Path) -> None:
    (tmp_path / "a.nii.gz").write_bytes(b"")
    item = CaseDataset([CASE], dict, given=GivenPredictions(tmp_path, load))[0]
    assert item["pred"] == "a.nii.gz"


def test_nothing_changes_without_predictions() -> None:
    given = GivenPredictions(None, load)
    assert not given.enabled
    assert given.add_to([CASE]) == [CASE]
    assert "pred" not in CaseDataset([CASE], dict, given=given)[0]


def test_a_case_without_a_prediction_is_an_error_that_says_so(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFileError, match="there is no prediction of this case"):
        GivenPredictions(tmp_path, load).load({**CASE, "prediction": str(tmp_path / "a")})


def test_a_table_is_a_file_or_the_only_one_of_a_folder(tmp_path: Path) -> None:
    table = tmp_path / "scores.csv"
    table.write_text("image_id\n")
    for named in (table, tmp_path):
        assert GivenPredictions(named, load, table=True).add_to([CASE])[0]["prediction"] == str(table)


@pytest.mark.parametrize(("files", "found"), [([], "none"), (["a.csv", "b.csv"], "a.csv, b.csv")])
def test_which_table_is_meant_must_be_clear(tmp_path: Path, files: list[str], found: str) -> None:
    for name in files:
        (tmp_path / name).write_text("")
    with pytest.raises(DatalistError, match=f"one table .csv is needed, found {found}"):
        GivenPredictions(tmp_path, load, table=True).add_to([CASE])
