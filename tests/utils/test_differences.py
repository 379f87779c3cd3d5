"""What differs between nested values is named by its id."""

from __future__ import annotations

import json

from bundle.utils.differences import differences

PLAN = {"epochs": 3, "train": {"rate": 0.1, "net": {"channels": [4, 8]}, "steps": [{"prob": 0.5}, {"prob": 1.0}]}}


def test_equal_contents_have_no_differences() -> None:
    assert list(differences(PLAN, json.loads(json.dumps(PLAN)))) == []
    assert list(differences({"a": {"b": 1}}, {"a": 2})) == [("a", {"b": 1}, 2)]


def test_items_of_lists_of_the_same_length_have_their_own_ids() -> None:
    other = {"epochs": 3, "train": {**PLAN["train"], "steps": [{"prob": 0.5}, {"prob": 0.0, "axis": 1}]}}
    assert list(differences(PLAN, other)) == [("train#steps#1#axis", None, 1), ("train#steps#1#prob", 1.0, 0.0)]


def test_lists_of_values_or_of_another_length_count_as_one_value() -> None:
    assert list(differences([4, 8], [4, 16], "channels")) == [("channels", [4, 8], [4, 16])]
    assert list(differences([{}], [{}, {}], "steps")) == [("steps", [{}], [{}, {}])]
