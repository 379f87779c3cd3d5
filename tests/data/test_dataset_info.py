"""Names of structures and channels, as datasets write them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bundle.data import DatalistError, dataset_ignore_label, dataset_label_values, dataset_labels, dataset_modalities


def write(folder: Path, content: Any, name: str = "dataset.json") -> Path:
    (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))
    return folder


@pytest.mark.parametrize(
    "labels", [{"0": "background", "2": "spleen", "1": "liver"}, {"background": 0, "liver": 1, "spleen": 2}]
)
def test_structures_come_in_the_order_of_their_values(labels: Any, tmp_path: Path) -> None:
    found = dataset_labels(write(tmp_path, {"labels": labels}))
    assert list(found.items()) == [("liver", 1), ("spleen", 2)]


@pytest.mark.parametrize(
    "content", [{"modality": {"0": "T1", "1": "T2"}}, {"channel_names": ["T1", "T2"]}, {"modality": ["T1", "T2"]}]
)
def test_channels_come_in_their_order(content: Any, tmp_path: Path) -> None:
    assert dataset_modalities(write(tmp_path, content)) == ["T1", "T2"]


def test_a_dataset_that_names_no_channel_has_one(tmp_path: Path) -> None:
    assert dataset_modalities(tmp_path) == ["image"]


def test_label_values_are_handed_on(tmp_path: Path) -> None:
    assert dataset_label_values(tmp_path) is None
    values = {"thalamus": [59, 60], "background": "others"}
    assert dataset_label_values(write(tmp_path, {"label_values": values})) == values


def test_a_datalist_is_read_first_and_then_the_dataset(tmp_path: Path) -> None:
    write(tmp_path, {"labels": {"0": "background", "1": "a"}, "modality": {"0": "CT"}})
    write(tmp_path, {"labels": {"0": "background", "1": "b"}}, "mine.json")
    assert dataset_labels(tmp_path, tmp_path / "mine.json") == {"b": 1}
    assert dataset_modalities(tmp_path, tmp_path / "mine.json") == ["CT"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "is not a JSON object"),
        ({"labels": ["a"]}, "has no 'labels'"),
        ({"labels": {"0": "background", "2": "a"}}, "'labels' must count from 0, the background, got"),
        ({"labels": {"0": "background"}}, "must count from 0"),
        ({"labels": {"background": True, "a": 1}}, "must count from 0"),
        ("{", "cannot be read as JSON"),
    ],
)
def test_labels_of_another_form_are_refused(content: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(DatalistError, match=message):
        dataset_labels(write(tmp_path, content))


@pytest.mark.parametrize("names", [{"1": "T1"}, [], "CT"])
def test_channels_of_another_form_are_refused(names: Any, tmp_path: Path) -> None:
    with pytest.raises(DatalistError, match="the channels must be named by a list"):
        dataset_modalities(write(tmp_path, {"modality": names}))


def test_values_come_from_the_file_that_names_the_structures(tmp_path: Path) -> None:
    """A datalist whose label maps hold the classes does not take the values of another table beside it."""
    plain = {"labels": {"0": "background", "1": "a"}}
    (tmp_path / "dataset.json").write_text(json.dumps({**plain, "label_values": {"a": [7]}}))
    (tmp_path / "list.json").write_text(json.dumps(plain))
    assert dataset_label_values(tmp_path) == {"a": [7]}
    assert dataset_label_values(tmp_path, tmp_path / "list.json") is None


@pytest.mark.parametrize(
    "labels",
    [{"background": 0, "organ": 1, "ignore": 2}, {"0": "background", "1": "organ", "2": "ignore"}],
)
def test_ignore_is_no_structure_but_a_value_of_its_own(labels: dict, tmp_path: Path) -> None:
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": labels}))
    assert dataset_labels(tmp_path) == {"organ": 1}
    assert dataset_ignore_label(tmp_path) == 2
    content = {"labels": {"0": "background", "1": "organ"}, "label_values": {"organ": [7], "ignore": [9]}}
    (tmp_path / "other.json").write_text(json.dumps(content))
    assert dataset_ignore_label(tmp_path, tmp_path / "other.json") is None


def test_without_labels_nothing_is_ignored(tmp_path: Path) -> None:
    assert dataset_ignore_label(tmp_path) is None


def test_ignore_must_be_the_highest_value(tmp_path: Path) -> None:
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "ignore": 1, "organ": 2}}))
    for read in (dataset_labels, dataset_ignore_label):
        with pytest.raises(DatalistError, match=r"dataset.json: 'ignore' must have the highest value"):
            read(tmp_path)


def test_ignore_alone_is_not_a_structure(tmp_path: Path) -> None:
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "ignore": 1}}))
    with pytest.raises(DatalistError, match="'labels' must count from 0"):
        dataset_labels(tmp_path)
