"""Statistics of a whole dataset, and what stands out from it."""

from __future__ import annotations

from typing import Any

from bundle.check.dataset_statistics import find_absent_classes, find_partial_labels, find_unusual, summarize
from bundle.check.findings import Reading
from bundle.check.items import Item


def reading(name: str = "a", split: str = "training", **facts: Any) -> Reading:
    return Reading(Item(name, (name,), None, split, "volumes"), facts=facts)


def test_statistics_that_no_item_has_are_omitted() -> None:
    assert summarize([reading()]) == {"items": 1, "kinds": {"volumes": 1}, "splits": {"training": 1}}


def test_sizes_and_orientations_are_counted() -> None:
    found = summarize([reading(size=[1, 2], orientation="RAS"), reading(size=[3, 8], orientation="LAS"), reading()])
    assert found["size"] == {"min": [1, 2], "median": [2, 5], "max": [3, 8], "different": 2}
    assert found["orientation"] == {"RAS": 1, "LAS": 1}


def test_classes_have_their_share_and_volume() -> None:
    items = [
        reading(classes={"1": 10}, volumes_ml={"1": 0.5}, voxels=100),
        reading(classes={"1": 30, "2": 5}, voxels=100),
    ]
    found = summarize(items, {"lesion": 1})["classes"]
    assert (found["1"]["name"], found["1"]["items"], found["1"]["of"], found["1"]["share"]) == ("lesion", 2, 2, 0.2)
    assert found["1"]["share_of_item"] == {"min": 0.1, "median": 0.2, "max": 0.3}
    assert found["1"]["volume_ml"]["max"] == 0.5
    assert found["2"]["name"] == "2"
    assert "volume_ml" not in found["2"]


def test_discs_and_classes_of_images_are_counted() -> None:
    found = summarize(
        [reading(discs=[3, 4]), reading(discs=[4]), reading(labels={"m": 1}), reading(split="test", labels={"m": 0})]
    )
    assert found["discs"] == {"C2-C3": 1, "C3-C4": 2}
    assert found["labels"] == {"m": {"yes": 1, "no": 1, "by_split": {"training": 1, "test": 0}}}


def test_a_voxel_size_far_from_the_others_is_remarked() -> None:
    items = [reading("a", spacing=[1, 1, 4]), reading("b", spacing=[4, 1, 1]), reading("c", spacing=[1, 1, 4])]
    assert find_unusual(items) == []
    items.append(reading("d", spacing=[1, 1, 0.2]))
    assert [finding.items for finding in find_unusual(items)] == [("d",)]
    assert "1 x 1 x 0.2 mm" in find_unusual(items)[0].message
    assert find_unusual(items[2:]) == []


def test_a_class_that_no_item_holds_is_found() -> None:
    items = [reading(classes={"1": 3})]
    assert [finding.kind for finding in find_absent_classes(items, {"background": 0, "a": 1, "b": 2})] == [
        "absent class"
    ]
    assert find_absent_classes(items, None) == []
    assert find_absent_classes([reading()], {"a": 1}) == []


def test_a_class_that_most_items_hold_is_reported_where_it_lacks() -> None:
    items = [reading(name, classes={"1": 5, "2": 1, "-1": 3}) for name in "abc"]
    items += [reading("d", classes={"1": 5}), reading("e", classes={"1": 4, "3": 1}), reading("empty", classes={})]
    found = find_partial_labels(items, {"liver": 1, "spleen": 2})
    assert [finding.items for finding in found] == [("d", "e")]
    assert "2 of 5 items lack the class 'spleen'" in found[0].message


def test_classes_of_all_or_of_few_items_are_not_reported() -> None:
    assert find_partial_labels([reading(name, classes={"1": 5}) for name in "ab"], None) == []
    assert (
        find_partial_labels([reading("a", classes={"1": 1, "2": 1}), *[reading("b", classes={"1": 1})] * 3], {}) == []
    )
