"""Background and ignored voxels are no structures, wherever label names are given."""

from __future__ import annotations

from typing import Any

import pytest

from bundle.utils.label_names import ignored_value, structures_of


@pytest.mark.parametrize(
    ("names", "structures"),
    [
        ({"background": 0, "a": 1, "b": 2}, {"a": 1, "b": 2}),
        ({"a": 1, "void": [0]}, {"a": 1}),
        ({"whole": [1, 2], "core": (2,)}, {"whole": [1, 2], "core": (2,)}),
        ({"a": 1, "ignore": 2}, {"a": 1}),
    ],
)
def test_structures_are_all_but_the_background_and_ignored_voxels(names: Any, structures: Any) -> None:
    assert structures_of(names) == structures


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ({"whole": [0, 1]}, "'whole' has the values .0, 1., and 0 is the background"),
        ({"background": 0}, "must name a structure"),
        ({}, "must name a structure"),
        ({"1": "liver"}, "integers of 0 or more as values, got 'liver'"),
        ({"a": -1}, "integers of 0 or more"),
        ({"a": True}, "integers of 0 or more"),
        ({"a": []}, "integers of 0 or more"),
    ],
)
def test_label_names_that_make_no_sense_are_refused(names: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        structures_of(names)


def test_the_ignored_value_is_the_highest() -> None:
    assert ignored_value({"background": 0, "a": 1, "region": [1, 2], "ignore": 3}) == 3
    assert ignored_value({"a": 1}) is None


@pytest.mark.parametrize("names", [{"a": 2, "ignore": 1}, {"a": 1, "ignore": "2"}, {"a": [1, 2], "ignore": 2}])
def test_another_ignored_value_is_refused(names: Any) -> None:
    with pytest.raises(ValueError, match="'ignore' must have the highest value"):
        ignored_value(names)
