"""Tasks of the Decathlon are listed with their channels and classes, in their own layout and in that of nnU-Net."""

from __future__ import annotations

import json
import logging
from collections import Counter
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from bundle.data import DatalistError
from bundle.data.msd import describe_labels, has_channel_files, prepare_msd
from bundle.io import LoadVolumed
from bundle.io.label_tables import class_labels, value_map

LABELS = {"0": "background", "1": "anterior", "2": "posterior"}


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


@pytest.fixture
def task(tmp_path: Path) -> Path:
    names = [f"scan_{number:03}.nii.gz" for number in range(10)]
    touch(tmp_path, *(f"{folder}/{name}" for folder in ("imagesTr", "labelsTr") for name in names), "imagesTs/x.nii.gz")
    content = {
        "name": "Task",
        "modality": {"0": "T2", "1": "ADC"},
        "labels": LABELS,
        "training": [{"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"} for name in names],
        "test": ["./imagesTs/x.nii.gz"],
    }
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    return tmp_path


@pytest.fixture
def nnunet(tmp_path: Path) -> Path:
    for number in range(4):
        touch(tmp_path, *(f"imagesTr/a_{number}_{channel:04}.nii.gz" for channel in range(2)))
        touch(tmp_path, f"labelsTr/a_{number}.nii.gz")
    touch(tmp_path, "imagesTs/t_0000.nii.gz", "imagesTs/t_0001.nii.gz", "imagesTr/notes.nii.gz")
    write(tmp_path, {"channel_names": {"0": "T2", "1": "ADC"}, "labels": {"background": 0, "zone": 1}})
    return tmp_path


def write(root: Path, content: Any) -> None:
    (root / "dataset.json").write_text(content if isinstance(content, str) else json.dumps(content))


def test_labeled_images_are_assigned_and_test_images_are_to_segment(task: Path) -> None:
    content = prepare_msd(task, folds=4)
    assert (content["modality"], content["labels"]) == ({"0": "T2", "1": "ADC"}, LABELS)
    assert "label_values" not in content
    assert Counter(item["fold"] for item in content["training"]) == {0: 2, 1: 2, 2: 2, 3: 2}
    assert [item.get("label", "-") != "-" for item in content["test"]].count(False) == 1
    assert {"image": "imagesTs/x.nii.gz"} in content["test"]


def test_images_of_one_patient_stay_together(task: Path) -> None:
    content = prepare_msd(task, patient=r"_00(\d)", folds=2, test_share=0)
    assert [item["patient"] for item in content["training"]] == [str(number) for number in range(10)]
    content = prepare_msd(task, patient=r"scan_(0)", test_share=1)
    assert {item["patient"] for item in content["test"] if "label" in item} == {"0"}
    for pattern, words in ((r"scan_\d+", "put what names it in parentheses"), ("(", "is not a regular expression")):
        with pytest.raises(DatalistError, match=words):
            prepare_msd(task, patient=pattern)
    with pytest.raises(DatalistError, match="finds no patient in 'scan_000'"):
        prepare_msd(task, patient="(sub)")


def test_a_file_that_is_listed_but_missing_is_skipped_and_logged(task: Path, caplog: pytest.LogCaptureFixture) -> None:
    (task / "labelsTr" / "scan_003.nii.gz").unlink()
    assert len(prepare_msd(task, test_share=0)["training"]) == 9
    assert "labelsTr/scan_003.nii.gz does not exist" in caplog.text
    write(task, {"labels": LABELS, "training": [{"label": "labelsTr/scan_001.nii.gz"}]})
    with pytest.raises(DatalistError, match="lists no image with a label map"):
        prepare_msd(task)
    assert "since an image does not exist" in caplog.text


def test_channels_of_nnunet_are_separate_files(nnunet: Path) -> None:
    content = prepare_msd(nnunet, folds=2, test_share=0)
    assert content["training"][1] == {
        "image": ["imagesTr/a_1_0000.nii.gz", "imagesTr/a_1_0001.nii.gz"],
        "label": "labelsTr/a_1.nii.gz",
        "fold": content["training"][1]["fold"],
    }
    assert content["test"] == [{"image": ["imagesTs/t_0000.nii.gz", "imagesTs/t_0001.nii.gz"]}]
    assert content["labels"] == {"0": "background", "1": "zone"}


def test_the_list_of_the_first_nnunet_does_not_name_its_files(nnunet: Path) -> None:
    """It lists ``a_0.nii.gz`` where the files are ``a_0_0000.nii.gz`` and ``a_0_0001.nii.gz``."""
    before = prepare_msd(nnunet, folds=2, test_share=0)
    listed = [{"image": f"./imagesTr/a_{k}.nii.gz", "label": f"./labelsTr/a_{k}.nii.gz"} for k in range(4)]
    described = {"channel_names": {"0": "T2", "1": "ADC"}, "labels": {"background": 0, "zone": 1}}
    write(nnunet, {**described, "training": listed, "test": []})
    assert prepare_msd(nnunet, folds=2, test_share=0) == before


def test_a_listed_image_with_the_number_0000_is_not_of_nnunet(tmp_path: Path) -> None:
    names = [f"img_{number:04}.nii.gz" for number in range(4)]
    touch(tmp_path, *(f"{folder}/{name}" for folder in ("imagesTr", "labelsTr") for name in names))
    items = [{"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"} for name in names]
    write(tmp_path, {"modality": {"0": "CT"}, "labels": LABELS, "training": items})
    assert len(prepare_msd(tmp_path, folds=2, test_share=0)["training"]) == 4
    write(tmp_path, {"modality": {"0": "CT"}, "labels": LABELS, "training": [item["image"] for item in items]})
    assert not has_channel_files(tmp_path)


def test_labeled_test_cases_are_the_test_set(nnunet: Path) -> None:
    touch(nnunet, "labelsTs/t.nii.gz")
    content = prepare_msd(nnunet, folds=2, test_share=0.5)
    assert [item["label"] for item in content["test"]] == ["labelsTs/t.nii.gz"]
    assert len(content["training"]) == 4


@pytest.mark.parametrize("name", ["labelsTr/a_1.nii", "imagesTr/a_1_0.nii.gz"])
def test_two_files_of_one_case_are_refused(name: str, nnunet: Path) -> None:
    touch(nnunet, name)
    with pytest.raises(DatalistError, match=r"is the same case and channel as .*; remove one"):
        prepare_msd(nnunet)


def test_one_channel_of_nnunet_is_one_path(nnunet: Path) -> None:
    for file in nnunet.rglob("*_0001.nii.gz"):
        file.unlink()
    write(nnunet, {"channel_names": {"0": "T2"}, "labels": {"background": 0, "zone": 1}})
    assert prepare_msd(nnunet, test_share=1)["test"][0]["image"] == "imagesTr/a_0_0000.nii.gz"


def test_a_channel_that_is_missing_is_an_error(nnunet: Path) -> None:
    (nnunet / "imagesTr" / "a_2_0001.nii.gz").unlink()
    with pytest.raises(DatalistError, match=r"a_2 has the channels \[0\], but there are 2, from 0 on: T2, ADC"):
        prepare_msd(nnunet)


def test_values_that_are_not_in_a_row_become_classes(task: Path) -> None:
    assert describe_labels(task, {"0": "background", "7": "b", "3": "a"}) == ({"a": [3], "b": [7]}, None)
    assert describe_labels(task, {"a": 1, "background": 0}) == (None, {"0": "background", "1": "a"})
    (task / "table.json").write_text('{"both": [1, 2]}')
    content = prepare_msd(task, labels=task / "table.json")
    assert (content["labels"], content["label_values"]) == ({"0": "background", "1": "both"}, {"both": [1, 2]})


@pytest.mark.parametrize("labels", [None, {}, [1], {"tumor": [1, 2]}, {"1": 2.5}])
def test_labels_of_another_form_are_refused(labels: Any, task: Path) -> None:
    with pytest.raises(DatalistError, match="name the structures in a table, with --labels FILE"):
        describe_labels(task, labels)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "cannot be read"),
        ("[]", "is not a JSON object"),
        ({"modality": ["MRI"]}, "must name the channels by '0', '1'"),
        ({"modality": {"1": "MRI"}}, "must name the channels"),
        ({"labels": LABELS}, "lists no image with a label map"),
        ({"labels": LABELS, "training": [["a", "b"]]}, "'training' holds .*, which is not a case"),
    ],
)
def test_a_dataset_json_of_another_form_is_refused(content: Any, words: str, tmp_path: Path) -> None:
    write(tmp_path, content)
    with pytest.raises(DatalistError, match=words):
        prepare_msd(tmp_path)


def test_without_a_dataset_json_another_command_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatalistError, match="prepare folder"):
        prepare_msd(tmp_path)


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("image", "label", "channel"),
    [
        ("spleen_ct/spleen_2_ct.nii.gz", "spleen_ct/spleen_2_seg.nii.gz", "CT"),
        ("multi_organ/ct_sm.nii.gz", "multi_organ/ct_sm_seg.nii.gz", "CT"),
        ("multi_organ/mr_sm.nii.gz", "multi_organ/mr_sm_seg.nii.gz", "MRI"),
    ],
)
def test_real_cases_are_listed_and_load(
    image: str, label: str, channel: str, shared_data: Path, tmp_path: Path
) -> None:
    """The values of the organs are not in a row, so that they become classes as they are loaded."""
    files = {"image": str(shared_data / "volumes" / image), "label": str(shared_data / "volumes" / label)}
    values = np.unique(np.asarray(nib.load(files["label"]).dataobj))
    labels = {str(value): f"organ {value}" for value in values}
    write(tmp_path, {"modality": {"0": channel}, "labels": labels, "training": [files]})
    content = prepare_msd(tmp_path, test_share=1)
    (item,) = content["test"]
    case = {key: str(tmp_path / item[key]) for key in files}
    load = LoadVolumed(["image", "label"], label_values=content.get("label_values"), channels=[channel])
    assert load(case)["label"].unique().tolist() == list(range(len(values)))


def test_ignore_of_nnunet_is_kept_and_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    path = tmp_path / "dataset.json"
    assert describe_labels(path, {"background": 0, "a": 1, "ignore": 2}) == (
        None,
        {"0": "background", "1": "a", "2": "ignore"},
    )
    assert "the value 2 is ignored: losses and metrics leave its voxels out" in caplog.text
    table, _ = describe_labels(path, {"background": 0, "a": 4, "ignore": 7})
    assert table == {"a": [4], "ignore": [7]}
    assert value_map(table) == {0: 0, 4: 1, 7: -1}
    assert class_labels(table) == {"0": "background", "1": "a"}
    with pytest.raises(DatalistError, match=r"dataset.json: 'ignore' must have the highest value"):
        describe_labels(path, {"background": 0, "ignore": 1, "a": 2})
