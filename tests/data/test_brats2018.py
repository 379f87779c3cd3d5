"""BraTS 2018 is listed in both layouts, with its channels in order, by patient and with like shares of both grades."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from bundle.data import DatalistError, list_cases, load_datalist
from bundle.data.brats2018 import MODALITIES, prepare_brats2018
from bundle.data.datalist_file import write_datalist
from bundle.io import LoadVolumed


def add_case(root: Path, folder: str, name: str, endings: tuple[str, ...] = (*MODALITIES, "seg")) -> None:
    place = root / folder / name
    place.mkdir(parents=True)
    for ending in endings:
        (place / f"{name}_{ending}.nii.gz").touch()


@pytest.fixture
def released(tmp_path: Path) -> Path:
    training = "MICCAI_BraTS_2018_Data_Training"
    for number in range(12):
        for visit in (1, 2):
            add_case(tmp_path, f"{training}/{'LGG' if number % 3 == 0 else 'HGG'}", f"Brats18_CBICA_{number}_{visit}")
    (tmp_path / training / "survival_data.csv").touch()
    add_case(tmp_path, "MICCAI_BraTS_2018_Data_Validation", "Brats18_WASH_0_1", MODALITIES)
    return tmp_path


def test_cases_have_four_channels_a_label_and_a_patient(released: Path) -> None:
    content = prepare_brats2018(released, folds=4)
    item = content["training"][0]
    name = item["patient"]
    folder = Path(item["label"]).parent
    assert [Path(file).parent for file in item["image"]] == [folder] * 4
    assert [Path(file).name.rsplit("_", 1)[1] for file in item["image"]] == [f"{name}.nii.gz" for name in MODALITIES]
    assert folder.name.startswith(f"{name}_")
    assert item["grade"] == folder.parent.name
    assert content["modality"] == {"0": "flair", "1": "t1", "2": "t1ce", "3": "t2"}
    assert content["labels"] == {"0": "background", "1": "necrotic_core", "2": "edema", "3": "enhancing"}
    assert content["label_values"] == {"necrotic_core": [1], "edema": [2], "enhancing": [4]}


def test_patients_are_not_split_and_grades_are_balanced(released: Path) -> None:
    content = prepare_brats2018(released, folds=3, test_share=0.25)
    places: dict[str, set[Any]] = {}
    for item in content["training"] + content["test"]:
        places.setdefault(item["patient"], set()).add(item.get("fold", "test"))
    assert all(len(place) == 1 for place in places.values())
    assert Counter(item.get("grade") for item in content["test"]) == {"HGG": 4, "LGG": 2, None: 1}
    assert Counter(item["fold"] for item in content["training"]) == {0: 6, 1: 6, 2: 6}
    assert content == prepare_brats2018(released, folds=3, test_share=0.25)


def test_a_case_of_the_validation_part_is_to_segment_alone(released: Path) -> None:
    write_datalist(prepare_brats2018(released, folds=3, test_share=0), released / "dataset.json")
    assert load_datalist(released)["test"] == []
    (case,) = list_cases(released / "dataset.json")
    assert case["case"] == "Brats18_WASH_0_1"
    assert len(case["image"]) == 4


def test_the_layout_of_the_original_project_keeps_its_test_part(tmp_path: Path) -> None:
    for number in range(6):
        add_case(tmp_path, f"brats/{'train' if number < 4 else 'test'}", f"Brats18_2013_{number}_1")
    content = prepare_brats2018(tmp_path, folds=2, test_share=0.9)
    assert [item["patient"] for item in content["test"]] == ["Brats18_2013_4", "Brats18_2013_5"]
    assert Counter(item["fold"] for item in content["training"]) == {0: 2, 1: 2}


@pytest.mark.parametrize(
    ("name", "patient"),
    [
        ("BraTS2021_00017", "BraTS2021_00017"),
        ("BraTS-GLI-00017-001", "BraTS-GLI-00017"),
        ("Brats17_TCIA_101_1", "Brats17_TCIA_101"),
        ("BraTS19_TCIA01_147_2", "BraTS19_TCIA01_147"),
        ("BraTS20_Training_001", "BraTS20_Training_001"),
    ],
)
def test_names_of_later_years_are_known(name: str, patient: str, tmp_path: Path) -> None:
    add_case(tmp_path, "data", name)
    assert prepare_brats2018(tmp_path, test_share=1)["test"][0]["patient"] == patient


def test_what_lacks_a_modality_is_skipped_and_logged(released: Path, caplog: pytest.LogCaptureFixture) -> None:
    add_case(released, "HGG", "Brats18_X_9_1", ("flair", "t1", "seg"))
    content = prepare_brats2018(released)
    assert "Brats18_X_9" not in json.dumps(content)
    assert "Brats18_X_9_1 lacks t1ce, t2; skipped" in caplog.text


def test_what_cannot_be_used_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatalistError, match="absent: is not a folder"):
        prepare_brats2018(tmp_path / "absent")
    with pytest.raises(DatalistError, match=r"holds no case with files that end with flair, t1, t1ce, t2 and seg"):
        prepare_brats2018(tmp_path)


@pytest.mark.real_data
def test_a_real_case_is_listed_and_loads(shared_data: Path) -> None:
    root = shared_data / "volumes" / "glioma_4mod"
    content = prepare_brats2018(root, modalities=["flair", "t1", "t1c", "t2"], label="seg_fused", test_share=1, folds=2)
    (item,) = content["test"]
    assert item["patient"] == "TCGA-FG-6692"
    load = LoadVolumed(["image", "label"], label_values=content["label_values"], channels=content["modality"].values())
    files = {"image": [str(root / file) for file in item["image"]], "label": str(root / item["label"])}
    loaded = load(files)
    assert loaded["image"].shape == (4, 240, 240, 155)
    assert loaded["label"].unique().tolist() == [0, 1, 2, 3]
