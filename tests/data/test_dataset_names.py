"""A training takes the names of structures from the dataset, and refuses others that mean something else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from monai.bundle import ConfigParser

from bundle.data import DatalistError, DatasetNames

DEFAULT = {"anterior": 1, "posterior": 2}


def dataset(folder: Path, labels: Any, **more: Any) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "dataset.json").write_text(json.dumps({"labels": labels, **more}))
    return folder


def used(folder: Path, names: Any = DEFAULT, options: Any = None, *, default: Any = DEFAULT, **more: Any) -> Any:
    """Return the content of a config after the names of the dataset were used."""
    parser = ConfigParser({"label_names": names, "label_values": None, "ignore_label": None, **more})
    DatasetNames(folder, default=default).use(parser, options)
    return parser.get()


def test_the_default_is_replaced_by_the_names_of_the_dataset(tmp_path: Path) -> None:
    labels = {"background": 0, "liver": 1, "tumor": 2, "ignore": 3}
    content = used(dataset(tmp_path, labels), count="$len(@label_names)")
    assert content["label_names"] == {"liver": 1, "tumor": 2}
    assert (content["label_values"], content["ignore_label"]) == (None, 3)
    values = {"liver": [5], "tumor": [7]}
    content = used(dataset(tmp_path, {"0": "background", "1": "liver", "2": "tumor"}, label_values=values))
    assert content["label_values"] == values


def test_what_the_user_sets_stays(tmp_path: Path) -> None:
    folder = dataset(tmp_path, {"background": 0, "liver": 1, "ignore": 2})
    assert used(folder, ignore_label=5)["ignore_label"] == 5
    assert used(folder, {"Liver": 1})["label_names"] == {"Liver": 1}


@pytest.mark.parametrize("labels", [None, {"0": "background", "1": "Anterior", "2": "POSTERIOR"}])
def test_names_that_mean_the_same_stay(labels: Any, tmp_path: Path) -> None:
    folder = tmp_path if labels is None else dataset(tmp_path, labels)
    assert used(folder)["label_names"] == DEFAULT
    assert used(folder, {"a-b": 1}, default=None)["label_names"] == {"a-b": 1} if labels is None else True


@pytest.mark.parametrize(
    ("names", "options", "default"),
    [
        ({"posterior": 1, "anterior": 2}, None, DEFAULT),
        (DEFAULT, {"label_names": DEFAULT}, DEFAULT),
        (DEFAULT, None, None),
        ({"spleen": 1}, None, DEFAULT),
        ({"liver": 2}, None, DEFAULT),
    ],
)
def test_other_names_are_refused_with_those_of_both(names: Any, options: Any, default: Any, tmp_path: Path) -> None:
    folder = dataset(tmp_path, {"background": 0, "liver": 1, "tumor": 2})
    with pytest.raises(DatalistError, match=r"names the structures {'liver': 1, 'tumor': 2}, but label_names are {'"):
        used(folder, names, options, default=default)


def test_names_of_other_values_and_regions_are_not_compared(tmp_path: Path) -> None:
    folder = dataset(tmp_path, {"background": 0, "liver": 1, "tumor": 2})
    assert used(folder, {"spleen": 1}, label_values={"spleen": [9]})["label_names"] == {"spleen": 1}
    assert used(folder, {"whole": [1, 2]})["label_names"] == {"whole": [1, 2]}
    other = dataset(tmp_path / "b", {"0": "background", "1": "liver"}, label_values={"liver": [5]})
    assert used(other, {"spleen": 1})["label_names"] == {"spleen": 1}


def test_a_config_that_reads_the_dataset_and_labels_of_another_form_are_left_alone(tmp_path: Path) -> None:
    folder = dataset(tmp_path, {"background": 0, "liver": 2})
    component = {"_target_": "bundle.data.dataset_labels", "dataset_dir": str(folder)}
    assert used(folder, component)["label_names"] == component
    assert used(folder, {"spleen": 2})["label_names"] == {"spleen": 2}
    with pytest.raises(DatalistError, match="must count from 0"):
        used(folder)
    (folder / "dataset.json").write_text("{")
    assert used(folder)["label_names"] == DEFAULT
