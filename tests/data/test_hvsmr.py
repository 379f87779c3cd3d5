"""HVSMR 2016 is listed in both layouts, one view of every patient."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from bundle.data import DatalistError
from bundle.data.hvsmr import prepare_hvsmr


def touch(*files: Path) -> None:
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()


@pytest.fixture
def released(tmp_path: Path) -> Path:
    for folder, view in (("Axial-cropped", "axial_crop"), ("Full", "axial_full")):
        for number in range(10):
            touch(tmp_path / folder / "Training dataset" / f"training_{view}_pat{number}.nii.gz")
            touch(tmp_path / folder / "Ground truth" / f"training_{view}_pat{number}-label.nii.gz")
        touch(tmp_path / folder / "Test dataset" / f"testing_{view}_pat10.nii.gz")
    return tmp_path


def test_one_view_of_every_patient_is_listed(released: Path) -> None:
    content = prepare_hvsmr(released, folds=4)
    assert Counter(item["fold"] for item in content["training"]) == {0: 2, 1: 2, 2: 2, 3: 2}
    assert content["test"][0] == {
        "image": "Axial-cropped/Test dataset/testing_axial_crop_pat10.nii.gz",
        "patient": "pat10",
    }
    labeled = content["training"] + content["test"][1:]
    assert sorted(item["patient"] for item in labeled) == [f"pat{number}" for number in range(10)]
    assert all(item["label"].startswith("Axial-cropped/Ground truth/") for item in labeled)
    assert content["labels"] == {"0": "background", "1": "myocardium", "2": "blood_pool"}
    assert all("Full/" in item["image"] for item in prepare_hvsmr(released, view="axial_full")["training"])


def test_the_layout_of_the_original_project_keeps_its_test_part(tmp_path: Path) -> None:
    for part, numbers in (("train", range(4)), ("test", range(4, 6))):
        for kind, number in ((kind, number) for kind in ("images", "masks") for number in numbers):
            touch(tmp_path / part / kind / f"heart_pat{number}.nii.gz")
    content = prepare_hvsmr(tmp_path, folds=2, test_share=0.5)
    assert [item["patient"] for item in content["test"]] == ["pat4", "pat5"]
    assert len(content["training"]) == 4
    touch(tmp_path / "test" / "images" / "other.nii.gz")
    assert prepare_hvsmr(tmp_path, folds=2)["test"][-1] == {
        "image": "test/images/other.nii.gz",
        "patient": "other",
    }


def test_what_cannot_be_used_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatalistError, match="view must be one of axial_crop, axial_full, sa_crop, got 'coronal'"):
        prepare_hvsmr(tmp_path, view="coronal")
    with pytest.raises(DatalistError, match=r"holds no training_sa_crop_pat\*.nii.gz"):
        prepare_hvsmr(tmp_path, view="sa_crop")


def test_a_volume_that_is_there_twice_is_an_error(released: Path) -> None:
    touch(released / "copy" / "training_axial_crop_pat3.nii.gz")
    with pytest.raises(DatalistError, match=r"pat3.nii.gz and .*copy.*pat3.nii.gz are the same volume; remove one"):
        prepare_hvsmr(released)
    assert prepare_hvsmr(released, view="axial_full")["training"]
