"""Every dataset of volumes is listed by its command, and the list is read by the function that a config names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bundle.cli import main as commands
from bundle.data import load_datalist


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the logging of the test run alone."""
    monkeypatch.setattr(commands.logging, "basicConfig", lambda **_: None)


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def prepare(*words: str | Path) -> int:
    return commands.main(["prepare", *map(str, words)])


def test_a_folder_is_listed_with_its_classes_and_patients(tmp_path: Path) -> None:
    touch(
        tmp_path,
        *(
            f"{folder}/p{number}_{visit}.nii"
            for folder in ("images", "labels")
            for number in range(5)
            for visit in "ab"
        ),
    )
    (tmp_path / "organs.tsv").write_text("index\tname\n2\tliver\n")
    options = ["--patient", "(p.)_", "--labels", tmp_path / "organs.tsv", "--folds", "2", "--test_share", "0.2"]
    assert prepare("folder", tmp_path, *options) == 0
    lists = load_datalist(tmp_path)
    assert (len(lists["training"]), len(lists["test"])) == (8, 2)
    assert lists["test"][0]["patient"] == lists["test"][1]["patient"]
    assert json.loads((tmp_path / "dataset.json").read_text())["labels"]["1"] == "liver"


def test_a_task_of_the_decathlon_keeps_its_dataset_json(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{folder}/{number}.nii.gz" for folder in ("imagesTr", "labelsTr") for number in range(5)))
    items = [{"image": f"imagesTr/{number}.nii.gz", "label": f"labelsTr/{number}.nii.gz"} for number in range(5)]
    given = json.dumps({"labels": {"0": "background", "1": "x"}, "training": items})
    (tmp_path / "dataset.json").write_text(given)
    assert prepare("msd", tmp_path, "--folds", "2", "--seed", "1") == 0
    assert (tmp_path / "dataset.json").read_text() == given
    assert len(load_datalist(tmp_path, tmp_path / "datalist.json")["training"]) == 4


def test_endings_of_brats_can_be_named(tmp_path: Path) -> None:
    for number in range(4):
        touch(tmp_path, *(f"TCGA-{number}/{ending}.nii.gz" for ending in ("t1", "t1c", "truth")))
    options = ["--modalities", "t1c", "t1", "--label", "truth", "--folds", "2", "--test_share", "0"]
    assert prepare("brats2018", tmp_path, *options) == 0
    cases = load_datalist(tmp_path)["training"]
    assert [case["case"] for case in cases] == [f"TCGA-{number}" for number in range(4)]
    assert cases[0]["image"] == [str(tmp_path / "TCGA-0" / f"{ending}.nii.gz") for ending in ("t1c", "t1")]


def test_malc_hvsmr_and_bids_take_their_options(tmp_path: Path) -> None:
    for number in (1000, 1001, 1023):
        touch(tmp_path, f"malc/training-images/{number}_3.nii", f"malc/training-labels/{number}_3_glm.nii")
        touch(tmp_path, f"hvsmr/training_sa_crop_pat{number}.nii", f"hvsmr/training_sa_crop_pat{number}-label.nii")
        for below, ending in (("", "FLAIR"), ("derivatives/x/", "dseg")):
            touch(tmp_path, f"bids/{below}sub-{number}/anat/sub-{number}_{ending}.nii.gz")
    (tmp_path / "bids" / "derivatives" / "x" / "dseg.tsv").write_text("index\tname\n1\tGM\n")
    split = ["--test_share", "0", "--folds", "2"]
    assert prepare("malc", tmp_path / "malc", "--labels", "freesurfer", "--repeats", *split) == 0
    assert prepare("hvsmr", tmp_path / "hvsmr", "--view", "sa_crop", *split) == 0
    assert prepare("bids", tmp_path / "bids", "--suffixes", "FLAIR", "--derivative", "x", *split) == 0
    for name in ("malc", "hvsmr", "bids"):
        assert len(load_datalist(tmp_path / name)["training"]) == 3
    assert prepare("malc", tmp_path / "bids") == 2
