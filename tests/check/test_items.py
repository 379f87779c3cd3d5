"""Listing of what a dataset holds, with its gaps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bundle.check.items import list_items
from bundle.data import DatalistError


def datalist(folder: Path, **content: Any) -> Path:
    (folder / "dataset.json").write_text(json.dumps(content))
    return folder


def touch(*files: Path) -> None:
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()


def test_items_stand_in_sections_and_folds(tmp_path: Path) -> None:
    training = [{"image": "a.nii.gz", "label": "l.nii.gz", "fold": 2}, {"image": ["b0.nii", "b1.nii"]}]
    listing = list_items(datalist(tmp_path, training=training, validation=["c.png"], test=["d.nii"]))
    assert [item.split for item in listing.items] == ["fold 2", "training", "validation", "test"]
    assert [item.kind for item in listing.items] == ["volumes", "volumes", "images", "volumes"]
    assert [item.needs_label for item in listing.items] == [True, True, True, False]
    assert listing.items[1].images == (str(tmp_path / "b0.nii"), str(tmp_path / "b1.nii"))
    assert listing.label_names is None


@pytest.mark.parametrize(
    "label", ["a_discs.json", "a.csv", "a_labels-disc-manual.nii.gz", "a_label-discs_dlabel.nii.gz"]
)
def test_points_of_discs_are_recognized_by_the_name_of_the_label(tmp_path: Path, label: str) -> None:
    listing = list_items(datalist(tmp_path, training=[{"image": "a.nii.gz", "label": label}]))
    assert listing.items[0].kind == "discs"


def test_patients_are_named_by_the_datalist_or_the_path(tmp_path: Path) -> None:
    training = [{"image": "a.nii", "subject_id": 7}, {"image": "sub-x1/anat/sub-x1_T1w.nii"}, {"image": "b.nii"}]
    assert [item.patient for item in list_items(datalist(tmp_path, training=training)).items] == ["7", "sub-x1", None]


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        ({"0": "background", "1": "a"}, {"background": 0, "a": 1}),
        ({"background": 0, "a": 1}, {"background": 0, "a": 1}),
        ({"a": [1, 2]}, None),
        ({}, None),
        ("a", None),
    ],
)
def test_classes_come_from_the_datalist(tmp_path: Path, labels: Any, names: dict[str, int] | None) -> None:
    assert list_items(datalist(tmp_path, training=["a.nii"], labels=labels)).label_names == names


def test_images_and_labels_are_paired_by_name(tmp_path: Path) -> None:
    touch(tmp_path / "images/a.nii.gz", tmp_path / "images/b.nii.gz", tmp_path / "labels/a.nii.gz")
    touch(tmp_path / "labels/c.nii.gz")
    listing = list_items(tmp_path)
    assert [(item.name, item.label is None) for item in listing.items] == [
        ("images/a.nii.gz", False),
        ("images/b.nii.gz", True),
    ]
    assert listing.orphans == (str(tmp_path / "labels/c.nii.gz"),)


def test_folders_and_endings_that_a_training_pairs_are_checked(tmp_path: Path) -> None:
    touch(tmp_path / "ct" / "a.nii.gz", tmp_path / "segmentations" / "a_seg.nii")
    listing = list_items(tmp_path)
    assert [item.label for item in listing.items] == [str(tmp_path / "segmentations" / "a_seg.nii")]
    assert listing.orphans == ()


def test_images_in_folders_below_are_paired_with_marked_masks(tmp_path: Path) -> None:
    for folder in ("x", "y"):
        touch(tmp_path / folder / "images/a.jpg", tmp_path / folder / "masks/a_segmentation.png")
    listing = list_items(tmp_path)
    assert [item.name for item in listing.items] == ["x/images/a.jpg", "y/images/a.jpg"]
    assert all(item.label and item.kind == "images" for item in listing.items)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "cannot be read as JSON"),
        ("[]", "is not a JSON object"),
        ('{"cases": []}', "is not a datalist"),
        ('{"channel_names": {"0": "RGB"}, "file_ending": ".png"}', "python -m bundle prepare images .* --output FILE"),
        ('{"training": []}', "lists no item"),
        ('{"training": [{"label": "a"}]}', "an item needs an 'image'"),
        ('{"training": [{"image": "a", "label": 3}]}', "an item needs an 'image'"),
        ('{"training": [3]}', "an item needs an 'image'"),
    ],
)
def test_a_datalist_that_cannot_be_used_is_an_error(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "dataset.json").write_text(content)
    with pytest.raises(DatalistError, match=message):
        list_items(tmp_path)


def test_a_folder_without_data_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DatalistError, match="neither a dataset"):
        list_items(tmp_path)
    with pytest.raises(DatalistError, match="is not a folder"):
        list_items(tmp_path / "no")
    with pytest.raises(DatalistError, match="cannot be read"):
        list_items(tmp_path, tmp_path / "no.json")


def test_channels_and_values_of_classes_come_from_the_datalist(tmp_path: Path) -> None:
    items = [{"image": ["a.nii", "b.nii"], "label": "l.nii"}]
    told = {"modality": {"0": "T1", "1": "T2"}, "labels": {"0": "background", "1": "x"}, "label_values": {"x": [4]}}
    listing = list_items(datalist(tmp_path, training=items, **told))
    assert (listing.channels, listing.label_values) == (2, {"x": [4]})
    assert list_items(datalist(tmp_path, training=items)).channels == 0
    for values in ({"y": [4]}, ["x"]):
        with pytest.raises(DatalistError, match="'label_values' make no sense"):
            list_items(datalist(tmp_path, training=items, **{**told, "label_values": values}))
