"""Files that a dataset does not match are skipped with a message that names them."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundle.data import load_datalist
from bundle.data.bids import prepare_bids
from bundle.data.brats2018 import prepare_brats2018
from bundle.data.hvsmr import prepare_hvsmr
from bundle.data.image_folder import prepare_image_folder
from bundle.data.msd import prepare_msd


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def labeled(root: Path, images: str, labels: str, count: int, ending: str, *, channel: str = "") -> None:
    for number in range(count):
        touch(root, f"{images}/c{number}{channel}{ending}", f"{labels}/c{number}{ending}")


def test_volumes_of_a_folder(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    labeled(tmp_path, "images", "labels", 2, ".nii.gz")
    touch(tmp_path, "images/c2.mgz", "labels/c3.nii.gz")
    assert len(load_datalist(tmp_path)["training"]) == 2
    assert "c2.mgz: skipped, since its format is not read" in caplog.text
    assert "c3.nii.gz: skipped, since there is no image of its name" in caplog.text


def test_2d_images_of_a_folder(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    labeled(tmp_path, "images", "masks", 3, ".png")
    touch(tmp_path, "images/c3.webp")
    assert len(prepare_image_folder(tmp_path, test_share=0, folds=2)["training"]) == 3
    assert "c3.webp: skipped, since it ends with none of .png" in caplog.text


def test_a_task_in_the_layout_of_nnunet(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    labeled(tmp_path, "imagesTr", "labelsTr", 3, ".nrrd", channel="_0000")
    touch(tmp_path, "imagesTr/other.nrrd", "labelsTr/alone.nrrd")
    (tmp_path / "dataset.json").write_text('{"channel_names": {"0": "CT"}, "labels": {"background": 0, "organ": 1}}')
    assert len(prepare_msd(tmp_path, test_share=0, folds=2)["training"]) == 3
    assert "other.nrrd: skipped, since its name ends with no number of a channel" in caplog.text
    assert "alone.nrrd: skipped, since there is no image of its name" in caplog.text


def test_brats(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(2):
        touch(tmp_path, *(f"HGG/a{number}/a{number}_{name}.nii.gz" for name in ("FLAIR", "T1", "T1ce", "T2", "SEG")))
    touch(tmp_path, "HGG/b/b_4d.nii.gz", "HGG/c/c_t1.nii.gz")
    assert len(prepare_brats2018(tmp_path, test_share=0, folds=2)["training"]) == 2
    assert "b_4d.nii.gz: skipped, since its name ends with none of flair, t1, t1ce, t2" in caplog.text
    assert "c lacks flair, t1ce, t2; skipped" in caplog.text


def test_hvsmr(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(2):
        touch(tmp_path, *(f"x/training_axial_crop_pat{number}{end}.nii.gz" for end in ("", "-label")))
    touch(tmp_path, "x/train_axial_crop_pat9.nii.gz", "x/training_sa_crop_pat0.nii.gz")
    assert len(prepare_hvsmr(tmp_path, test_share=0, folds=2)["training"]) == 2
    assert "train_axial_crop_pat9.nii.gz: skipped, since its name is not that of a volume of HVSMR" in caplog.text
    assert "sa_crop" not in caplog.text


def test_bids(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(2):
        touch(tmp_path, f"sub-{number}/anat/sub-{number}_T1w.nii.gz")
        touch(tmp_path, f"derivatives/manual/sub-{number}/anat/sub-{number}_dseg.nii.gz")
    touch(tmp_path, "sub-3/anat/sub-3_T1w.NII.GZ")
    (tmp_path / "derivatives" / "manual" / "dseg.tsv").write_text("index\tname\n1\torgan\n")
    assert len(prepare_bids(tmp_path, test_share=0, folds=2)["training"]) == 2
    assert "sub-3_T1w.NII.GZ: skipped, since no segmentation has the same entities" in caplog.text
