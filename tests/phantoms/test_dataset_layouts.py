"""Phantoms lie in the folders of their dataset, and no two of their images are the same."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from bundle.phantoms.volumes.volume_phantoms import PHANTOMS, write_volume_phantoms

FILES = {
    ("msd", "released"): ["dataset.json", "imagesTr/phantom_000.nii.gz", "labelsTr/phantom_003.nii.gz"],
    ("brats2018", "released"): [
        "MICCAI_BraTS_2018_Data_Training/HGG/Brats18_PHANTOM_0_1/Brats18_PHANTOM_0_1_t1ce.nii.gz",
        "MICCAI_BraTS_2018_Data_Training/LGG/Brats18_PHANTOM_3_1/Brats18_PHANTOM_3_1_seg.nii.gz",
        "MICCAI_BraTS_2018_Data_Validation/Brats18_PHANTOM_V_1/Brats18_PHANTOM_V_1_flair.nii.gz",
    ],
    ("brats2018", "original"): ["test/Brats18_PHANTOM_0_1/Brats18_PHANTOM_0_1_t2.nii.gz", "train/Brats18_PHANTOM_3_1"],
    ("malc", "released"): ["training-images/1000_3.nii.gz", "testing-labels/1003_3_glm.nii.gz"],
    ("malc", "original"): ["train/images/phantom_001.nii.gz", "test/masks/phantom_000.nii.gz"],
    ("hvsmr", "released"): ["Axial-cropped/Ground truth/training_axial_crop_pat3-label.nii.gz"],
    ("hvsmr", "original"): ["train/masks/phantom_003.nii.gz"],
    ("bids", "released"): [
        "sub-01/ses-02/anat/sub-01_ses-02_T1w.nii.gz",
        "derivatives/tissues/sub-03/ses-01/anat/sub-03_ses-01_desc-manual_dseg.nii.gz",
        "derivatives/tissues/desc-manual_dseg.tsv",
    ],
    ("folder", "released"): ["images/phantom_000.nii.gz", "labels/phantom_003.nii.gz"],
}


@pytest.mark.parametrize(("name", "layout"), FILES)
def test_files_lie_where_the_dataset_has_them(name: str, layout: str, tmp_path: Path) -> None:
    assert write_volume_phantoms(name, tmp_path, layout=layout, count=4, size=24) == tmp_path
    assert [file for file in FILES[name, layout] if not (tmp_path / file).exists()] == []
    masks = ("seg.nii", "glm.nii", "label.nii", "dseg.nii")
    images = [
        np.asarray(nib.load(file).dataobj).tobytes()
        for file in tmp_path.rglob("*.nii.gz")
        if not any(mark in file.name for mark in masks) and file.parent.name not in ("labels", "labelsTr", "masks")
    ]
    assert len(set(images)) == len(images) >= 4


def test_every_layout_is_tested() -> None:
    assert {name for name, _ in FILES} == set(PHANTOMS)
    assert {name for name, layout in FILES if layout == "original"} == {
        name for name, phantom in PHANTOMS.items() if phantom.original is not None
    }


def test_the_masks_of_the_original_project_hold_classes(tmp_path: Path) -> None:
    """It wants 0 to 10 for MALC."""
    write_volume_phantoms("malc", tmp_path, layout="original", count=3, size=40)
    for mask in tmp_path.rglob("masks/*.nii.gz"):
        assert set(np.unique(np.asarray(nib.load(mask).dataobj)).tolist()) == set(range(11))


def test_the_dataset_json_of_the_decathlon_lists_what_is_there(tmp_path: Path) -> None:
    write_volume_phantoms("msd", tmp_path, count=2, size=24)
    content = json.loads((tmp_path / "dataset.json").read_text())
    listed = [path for item in content["training"] for path in item.values()] + content["test"]
    assert sorted(str(tmp_path / path) for path in listed) == sorted(str(file) for file in tmp_path.rglob("*.nii.gz"))
    assert (content["numTraining"], content["numTest"]) == (2, 1)
