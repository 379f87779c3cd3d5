"""Kinds of volumes are recognized by their names and first bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.dicom_files import write_series
from helpers.phantoms import noise

from bundle.data import list_cases
from bundle.io.dicom_headers import series_in
from bundle.io.volume_files import is_dicom, kind_of, stem_of, volumes_in


@pytest.mark.parametrize(
    ("name", "kind", "stem"),
    [
        ("a.nii.gz", "nifti", "a"),
        ("a.T1.NII", "nifti", "a.T1"),
        ("a.nrrd", "itk", "a"),
        ("a.nhdr", "itk", "a"),
        ("a.mha", "itk", "a"),
        ("a.MHD", "itk", "a"),
        ("a.zip", "dicom", "a"),
        ("a.png", "nifti", "a.png"),
    ],
)
def test_kind_and_name_of_a_volume(name: str, kind: str, stem: str) -> None:
    assert kind_of(f"folder/{name}") == kind
    assert stem_of(Path("folder", name)) == stem


def test_a_folder_is_a_dicom_series(tmp_path: Path) -> None:
    assert kind_of(tmp_path) == "dicom"


def test_volumes_of_a_folder_are_those_that_are_seen(tmp_path: Path) -> None:
    for name in ("b.nrrd", "a.zip", "._c.nii.gz", "d.raw"):
        (tmp_path / name).touch()
    (tmp_path / "e.nii").mkdir()
    assert [path.name for path in volumes_in(tmp_path)] == ["a.zip", "b.nrrd"]


def test_series_are_the_folder_itself_or_folders_in_it(tmp_path: Path) -> None:
    voxels = noise((4, 4, 3), dtype=np.int16)
    study = tmp_path / "study"
    for name in ("b", "a"):
        write_series(study / name, voxels, ending="")
    (study / "empty").mkdir()
    (study / "notes.txt").write_text("none")
    assert series_in(study) == [study / "a", study / "b"]
    assert series_in(study / "a") == [study / "a"]
    assert [case["case"] for case in list_cases(study)] == ["a", "b"]
    assert list_cases(study / "a") == [{"case": "a", "image": str(study / "a")}]
    with pytest.raises(ValueError, match="lies in output_dir"):
        list_cases(study / "a", study / "a")


def test_a_short_file_is_no_dicom_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"DICM")
    assert not is_dicom(tmp_path / "a")
    assert not is_dicom(tmp_path)
