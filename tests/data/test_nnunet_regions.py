"""Regions of nnU-Net become classes that exclude each other, and nested regions of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bundle.data import DatalistError
from bundle.data.nnunet_regions import describe_regions, has_regions

FILE = Path("dataset.json")


def test_three_nested_regions_in_any_order_have_three_classes() -> None:
    labels = {"background": 0, "enhancing": 3, "whole": [1, 2, 3], "core": [2, 3], "ignore": 4}
    table, regions = describe_regions(FILE, labels)
    assert table == {"whole_without_core": [1], "core_without_enhancing": [2], "enhancing": [3], "ignore": [4]}
    assert regions == {"whole": [1, 2, 3], "core": [2, 3], "enhancing": [3]}


@pytest.mark.parametrize(
    ("labels", "expected"), [({"a": 1}, False), ({"a": [1, 2]}, True), (["a"], False)], ids=["values", "lists", "list"]
)
def test_regions_are_labels_of_several_values(labels: Any, expected: bool) -> None:
    assert has_regions(labels) is expected


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"a": [1, 2], "b": [2, 3]}, "the region 'b' is not a part of 'a'"),
        ({"a": [1, "x"]}, "the values must be integers"),
    ],
)
def test_other_regions_are_refused(labels: Any, message: str) -> None:
    with pytest.raises(DatalistError, match=message):
        describe_regions(FILE, labels)
