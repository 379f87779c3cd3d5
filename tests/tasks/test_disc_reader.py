from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from bundle.tasks.spine.discs import (
    Disc,
    DiscFileError,
    read_discs,
    write_disc_csv,
    write_disc_json,
    write_label_map,
    write_markups,
)

DISCS = [Disc(3, (2.0, 7.0, 3.0)), Disc(4, (2.0, 6.0, 1.0))]


@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".csv", ".json", ".mrk.json", ".CSV"])
def test_files_of_every_format_are_read(tmp_path: Path, ending: str) -> None:
    file, image = tmp_path / f"a{ending}", tmp_path / "image.nii"
    nib.save(nib.Nifti1Image(np.zeros((4, 9, 9), np.uint8), np.eye(4)), image)
    if ending.startswith(".nii"):
        write_label_map(DISCS, file, image)
    else:
        {".csv": write_disc_csv, ".json": write_disc_json, ".mrk.json": write_markups}[ending.lower()](DISCS, file)
    assert read_discs(file) == DISCS
    assert read_discs(str(file), point="center") == DISCS


@pytest.mark.parametrize("name", ["a.fcsv", "a.txt", "a"])
def test_files_of_other_formats_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DiscFileError, match=r"is not a file of discs; use .nii.gz, .json, .mrk.json or"):
        read_discs(tmp_path / name)


def test_another_point_than_the_two_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"point must be one of posterior, center, got 'tip'"):
        read_discs(tmp_path / "a.json", point="tip")


def test_discs_of_two_kinds_of_spines_in_one_file_are_refused(tmp_path: Path) -> None:
    write_disc_csv([Disc(25, (0.0, 0.0, 20.0)), Disc(255, (0.0, 0.0, 0.0))], tmp_path / "a.csv")
    with pytest.raises(
        DiscFileError, match=r"a\.csv: holds discs of two kinds of spines .L5-S1 and L6-S1 are not in one"
    ):
        read_discs(tmp_path / "a.csv")
