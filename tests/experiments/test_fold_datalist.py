"""Folds of an experiment."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from helpers.phantoms import write_case

from bundle.experiments import ExperimentError, datalist_with_folds


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(7):
        write_case(tmp_path, f"case{number}")
    return tmp_path


def write(folder: Path, **keys: Any) -> Path:
    """Write a datalist of six training cases and one for the test; ``keys`` are lists, one entry per case."""
    items = [{"image": f"images/case{i}.nii.gz", "label": f"labels/case{i}.nii.gz"} for i in range(7)]
    training = [{**item, **{key: values[i] for key, values in keys.items()}} for i, item in enumerate(items[:6])]
    path = folder / "list.json"
    path.write_text(json.dumps({"training": training, "test": items[6:]}))
    return path


def folds_of(datalist: dict[str, Any]) -> list[int]:
    return [case["fold"] for case in datalist["training"]]


def test_folds_that_the_datalist_names_are_kept(folder: Path) -> None:
    found = datalist_with_folds(folder, write(folder, fold=[0, 1, 2, 0, 1, 2]), 2, None)
    assert folds_of(found) == [0, 1, 2, 0, 1, 2]
    assert found["training"][0] == {"image": "images/case0.nii.gz", "label": "labels/case0.nii.gz", "fold": 0}
    assert found["test"] == []


def test_cases_are_assigned_evenly_where_none_are_named(folder: Path) -> None:
    assert sorted(Counter(folds_of(datalist_with_folds(folder, None, 3, None))).values()) == [2, 2, 3]


def test_the_test_cases_are_kept_on_request(folder: Path) -> None:
    found = datalist_with_folds(folder, write(folder), 2, None, test=True)
    assert found["test"] == [{"image": "images/case6.nii.gz", "label": "labels/case6.nii.gz"}]


def test_a_seed_assigns_new_folds_and_another_seed_others(folder: Path) -> None:
    datalist = write(folder, fold=[0, 1, 2, 0, 1, 2])
    first, second = (datalist_with_folds(folder, datalist, 2, seed) for seed in (0, 1))
    assert Counter(folds_of(first)) == {0: 3, 1: 3}
    assert folds_of(first) != folds_of(second)
    assert datalist_with_folds(folder, datalist, 2, 0) == first


@pytest.mark.parametrize("seed", range(5))
def test_cases_of_one_group_stay_together(seed: int, folder: Path) -> None:
    found = datalist_with_folds(folder, write(folder, group=["a", "a", "b", "b", "c", "c"]), 3, seed)["training"]
    assert [case["group"] for case in found] == ["a", "a", "b", "b", "c", "c"]
    assert sorted(folds_of({"training": found[::2]})) == [0, 1, 2]
    assert folds_of({"training": found[::2]}) == folds_of({"training": found[1::2]})


def test_too_many_folds_are_refused(folder: Path) -> None:
    with pytest.raises(ExperimentError, match="got 8; pass --split_seed 0 to assign the 7 cases"):
        datalist_with_folds(folder, None, 8, None)


def test_one_fold_holds_none_out(folder: Path) -> None:
    with pytest.raises(ExperimentError, match=r"--folds 1 the 7 training cases of .* are in 1; pass --split_seed 0"):
        datalist_with_folds(folder, None, 1, None)


def test_the_description_in_a_datalist_is_kept(folder: Path) -> None:
    path = write(folder)
    content = {**json.loads(path.read_text()), "labels": {"0": "background", "1": "liver"}, "name": "x"}
    path.write_text(json.dumps(content))
    found = datalist_with_folds(folder, path, 2, 0)
    assert found["labels"] == content["labels"]
    assert "name" not in found
