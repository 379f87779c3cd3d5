"""Identifiers are those of a DICOM series, or the entities of a BIDS name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.dicom_files import write_series
from helpers.phantoms import noise

from bundle.inference import CaseDataset
from bundle.io import LoadVolumed
from bundle.io.identifiers import bids_identifiers, dicom_identifiers, identifiers_of


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("sub-01_T1w.nii.gz", {"sub": "01"}),
        ("in/sub-A1_ses-2_acq-fast_run-1_bold.nii", {"sub": "A1", "ses": "2", "acq": "fast", "run": "1"}),
        ("scan.nii.gz", {}),
        ("ses-1_sub-2_T1w.nii.gz", {}),
        ("", {}),
    ],
)
def test_bids_entities_are_read_from_the_name(file: str, expected: dict[str, str]) -> None:
    assert bids_identifiers(file) == expected


def test_empty_attributes_are_no_identifiers() -> None:
    header = {"StudyInstanceUID": "1.2", "SeriesInstanceUID": "", "PatientID": None}
    assert dicom_identifiers(header) == {"StudyInstanceUID": "1.2"}


def test_a_loaded_series_has_its_identifiers(tmp_path: Path) -> None:
    folder = tmp_path / "series"
    write_series(folder, noise((6, 5, 4), dtype=np.int16), PatientID="p 7")
    meta = LoadVolumed("image")({"image": str(folder)})["image"].meta
    assert meta["identifiers"].keys() >= {"StudyInstanceUID", "SeriesInstanceUID", "PatientID"}
    assert meta["identifiers"]["PatientID"] == "p 7"
    assert identifiers_of(str(folder), meta) == meta["identifiers"]


@pytest.mark.parametrize("enabled", [True, False, "false"])
def test_records_get_identifiers_on_request(enabled: bool | str, tmp_path: Path) -> None:
    folder = tmp_path / "series"
    write_series(folder, noise((6, 5, 4), dtype=np.int16), PatientID="p 7")
    cases = [{"image": str(folder), "case": "a"}, {"image": str(tmp_path / "sub-3_T1w.nii.gz"), "case": "b"}]
    dataset = CaseDataset(cases, LoadVolumed("image"), identifiers=enabled)
    loaded, failed = dataset[0]["record"], dataset[1]["record"]
    loaded.complete({})
    if enabled is True:
        assert loaded.to_json()["identifiers"]["PatientID"] == "p 7"
        assert failed.to_json()["identifiers"] == {"sub": "3"}
    else:
        assert "identifiers" not in loaded.to_json()
        assert "identifiers" not in failed.to_json()
