"""Objects about a series copy valid headers, and name every structure."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.dicom_files import write_series, zipped
from helpers.phantoms import noise

from bundle.io.dicom import open_series
from bundle.io.dicom_references import NEEDED, names_by_value, source_headers

VOXELS = noise((4, 5, 3), dtype=np.int16)


def test_headers_are_in_the_order_of_the_slices(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "a", VOXELS, np.diag([1, 1, 2.5, 1]))
    for series in (open_series(folder), open_series(zipped(folder, tmp_path / "a.zip"))):
        headers = source_headers(series)
        assert [header.ImagePositionPatient[2] for header in headers] == [0, 2.5, 5]
        assert [header.SliceThickness for header in headers] == [2.5] * 3


def test_attributes_that_are_missing_are_empty_and_others_are_kept(tmp_path: Path) -> None:
    folder = write_series(
        tmp_path / "a", VOXELS, SliceThickness=4, StudyDate="20200102", PatientSex="F", PatientID=None
    )
    (header, *_) = source_headers(open_series(folder))
    assert header.SliceThickness == 4
    assert {name: str(header.get(name)) for name in NEEDED if header.get(name)} == {
        **{"PatientName": "A^B", "StudyDate": "20200102", "PatientSex": "F"}
    }
    assert all(name in header for name in NEEDED)


@pytest.mark.filterwarnings("ignore:Invalid value:UserWarning")
@pytest.mark.parametrize(
    ("name", "value"),
    [("PatientSex", "W"), ("PatientBirthDate", "unknown"), ("StudyDate", "2020"), ("StudyTime", "9h")],
)
def test_values_that_dicom_does_not_know_are_emptied(name: str, value: str, tmp_path: Path) -> None:
    folder = write_series(tmp_path / "a", VOXELS, **{name: value})
    assert source_headers(open_series(folder))[0].get(name) == ""


def test_a_value_has_all_its_names_and_one_without_a_name_its_number() -> None:
    labels = np.array([[0, 1, 300, 7]])
    names = {"background": 0, "liver": 1, "organ": 1, "lesion": 300, "absent": 2}
    assert names_by_value(labels, names) == {1: "liver, organ", 2: "absent", 7: "label 7", 300: "lesion"}
