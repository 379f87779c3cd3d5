"""Datasets are read as they are: nnU-Net's raw layout, BIDS, and a folder of images with one of labels."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from typing import Any

import pytest

from bundle.check.items import list_items
from bundle.data import (
    DatalistError,
    dataset_ignore_label,
    dataset_label_values,
    dataset_labels,
    dataset_modalities,
    load_datalist,
)
from bundle.data.layouts import find_pair, layout_of, read_content
from bundle.phantoms.volumes.volume_phantoms import write_volume_phantoms


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def nnunet(root: Path, labels: Any, *, channels: int = 1, cases: int = 5) -> Path:
    for case in range(cases):
        touch(root, f"labelsTr/c{case}.nii.gz")
        touch(root, *(f"imagesTr/c{case}_{channel:04}.nii.gz" for channel in range(channels)))
    names = {str(channel): f"T{channel}" for channel in range(channels)}
    content = {"channel_names": names, "labels": labels, "numTraining": cases, "file_ending": ".nii.gz"}
    (root / "dataset.json").write_text(json.dumps(content))
    return root


def test_the_raw_layout_of_nnunet_needs_no_datalist(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    nnunet(tmp_path, {"background": 0, "liver": 1, "ignore": 2}, channels=2)
    touch(tmp_path, "imagesTs/x_0000.nii.gz", "imagesTs/x_0001.nii.gz", "labelsTs/x.nii.gz")
    touch(tmp_path, "imagesTs/y_0000.nii.gz", "imagesTs/y_0001.nii.gz")
    lists = load_datalist(tmp_path)
    assert lists["training"][0]["image"] == [str(tmp_path / f"imagesTr/c0_000{channel}.nii.gz") for channel in (0, 1)]
    assert sorted(case["fold"] for case in lists["training"]) == [0, 1, 2, 3, 4]
    assert [case["case"] for case in lists["test"]] == ["x"]
    assert (dataset_labels(tmp_path), dataset_modalities(tmp_path)) == ({"liver": 1}, ["T0", "T1"])
    assert dataset_ignore_label(tmp_path) == 2
    assert "read as raw layout of nnU-Net" in caplog.text


def test_values_that_do_not_count_from_one_become_classes(tmp_path: Path) -> None:
    nnunet(tmp_path, {"background": 0, "liver": 6, "spleen": 3})
    assert dataset_labels(tmp_path) == {"spleen": 1, "liver": 2}
    assert dataset_label_values(tmp_path) == {"spleen": [3], "liver": [6]}


def test_nested_regions_become_classes_and_regions(tmp_path: Path) -> None:
    labels = {"background": 0, "core": [2, 3], "whole": [1, 2, 3], "enhancing": 3, "ignore": 4}
    content = read_content(nnunet(tmp_path, labels))[1]
    assert content["regions"] == {"whole": [1, 2, 3], "core": [2, 3], "enhancing": [3]}
    assert content["label_values"] == {
        **{"whole_without_core": [1], "core_without_enhancing": [2], "enhancing": [3]},
        "ignore": [4],
    }
    assert dataset_labels(tmp_path) == {"whole_without_core": 1, "core_without_enhancing": 2, "enhancing": 3}


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ({"background": 0, "a": [1, 2], "b": [2, 3]}, "is not a part of 'a'"),
        ({"background": 0, "a": ["1", 2]}, "the values must be integers"),
    ],
)
def test_regions_that_cannot_be_trained_are_an_error(tmp_path: Path, labels: Any, words: str) -> None:
    with pytest.raises(DatalistError, match=words):
        read_content(nnunet(tmp_path, labels))


def test_regions_of_two_values_are_two_classes(tmp_path: Path) -> None:
    content = read_content(nnunet(tmp_path, {"background": 0, "organ": [1, 2], "tumor": 2}))[1]
    assert content["label_values"] == {"organ_without_tumor": [1], "tumor": [2]}


def test_a_datalist_among_the_files_of_nnunet_counts(tmp_path: Path) -> None:
    nnunet(tmp_path, {"background": 0, "liver": 1})
    item = {"image": "imagesTr/c1_0000.nii.gz", "label": "labelsTr/c1.nii.gz", "fold": 0}
    (tmp_path / "dataset.json").write_text(json.dumps({"seed": 0, "training": [item]}))
    assert layout_of(tmp_path) == "datalist"
    assert len(load_datalist(tmp_path)["training"]) == 1


def test_nnunet_without_volumes_is_an_error_that_says_so(tmp_path: Path) -> None:
    touch(tmp_path, "imagesTr/a_0000.png")
    (tmp_path / "dataset.json").write_text(json.dumps({"channel_names": {"0": "R"}, "file_ending": ".png"}))
    with pytest.raises(DatalistError, match=r"holds no volume CASE_0000\.png"):
        read_content(tmp_path)


def test_nnunet_without_labels_is_an_error(tmp_path: Path) -> None:
    nnunet(tmp_path, {"background": 0, "liver": 1}, cases=1)
    (tmp_path / "labelsTr" / "c0.nii.gz").unlink()
    with pytest.raises(DatalistError, match="lists no image with a label map"):
        read_content(tmp_path)


def bids(root: Path, *suffixes: str, derivative: bool = True) -> Path:
    place = "derivatives/manual/" if derivative else ""
    for subject in ("01", "02"):
        touch(
            root,
            f"sub-{subject}/anat/notes.txt",
            *(f"sub-{subject}/anat/sub-{subject}_{suffix}.nii.gz" for suffix in suffixes),
        )
        touch(root, f"{place}sub-{subject}/anat/sub-{subject}_dseg.nii.gz")
    (root / f"{place}dseg.tsv").write_text("index\tname\n1\tGM\n2\tWM\n")
    return root


@pytest.mark.parametrize("derivative", [True, False])
def test_bids_needs_no_datalist(tmp_path: Path, derivative: bool) -> None:
    lists = load_datalist(bids(tmp_path, "T2w", derivative=derivative))
    assert [case["patient"] for case in lists["training"]] == ["sub-01", "sub-02"]
    assert (dataset_labels(tmp_path), dataset_modalities(tmp_path)) == ({"GM": 1, "WM": 2}, ["T2w"])


def test_several_contrasts_of_bids_have_to_be_chosen(tmp_path: Path) -> None:
    with pytest.raises(DatalistError, match=r"python -m bundle prepare bids .* --suffixes FLAIR T1w"):
        read_content(bids(tmp_path, "T1w", "FLAIR"))


def test_bids_without_images_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DatalistError, match="holds no image T1w"):
        read_content(bids(tmp_path))


@pytest.mark.parametrize(("images", "labels"), [("imgs", "segmentations"), ("images", "masks"), ("ct", "GT")])
def test_two_folders_are_paired_whatever_their_names(tmp_path: Path, images: str, labels: str) -> None:
    touch(tmp_path, f"{images}/a.nii.gz", f"{images}/b.nii.gz", f"{images}/b.mgz")
    touch(tmp_path, f"{labels}/a.nii.gz", f"{labels}/b_seg.nii.gz")
    assert [Path(case["label"]).name for case in load_datalist(tmp_path)["training"]] == ["a.nii.gz", "b_seg.nii.gz"]


@pytest.mark.parametrize("folders", [["a", "b"], ["seg1", "seg2"], ["a", "b", "seg"]])
def test_folders_of_which_none_is_clearly_that_of_labels_are_no_pair(tmp_path: Path, folders: list[str]) -> None:
    touch(tmp_path, *(f"{folder}/a.nii.gz" for folder in folders))
    assert find_pair(tmp_path) is None


def test_the_error_names_the_folder_below_that_fits(tmp_path: Path) -> None:
    nnunet(tmp_path / "Dataset001_X", {"background": 0, "liver": 1})
    with pytest.raises(DatalistError, match="Dataset001_X does; pass --dataset_dir"):
        read_content(tmp_path)


@pytest.mark.parametrize("name", ["brats2018", "hvsmr", "malc"])
def test_the_error_names_the_command_that_lists_the_release_of_a_challenge(name: str, tmp_path: Path) -> None:
    folder = tmp_path / name
    write_volume_phantoms(name, folder, count=4, size=24)
    with pytest.raises(DatalistError, match=re.escape(f"list it with: python -m bundle prepare {name} {folder}")):
        read_content(folder)


def test_the_validation_reads_the_same_layouts(tmp_path: Path) -> None:
    listing = list_items(nnunet(tmp_path, {"background": 0, "liver": 1}, channels=2))
    assert (len(listing.items), listing.channels, listing.label_names) == (5, 2, {"background": 0, "liver": 1})
    assert len(listing.items[0].images) == 2
