"""Groups of items that are the same, and leaks between the parts of a split."""

from __future__ import annotations

import numpy as np

from bundle.check.duplicates import find_duplicates, find_patient_leaks
from bundle.check.findings import Reading
from bundle.check.items import Item
from bundle.check.signatures import signature


def reading(
    name: str, content: str | None, *, split: str = "training", seed: int | None = None, **more: str
) -> Reading:
    drawn = None if seed is None else signature(np.random.default_rng(seed).normal(size=(40, 40)))
    return Reading(Item(name, (name,), None, split, "images", **more), digest=content, signature=drawn)


def test_the_same_content_is_one_group() -> None:
    found = find_duplicates([reading("a", "x"), reading("b", "y"), reading("c", "x"), reading("d", "x")])
    assert [(finding.kind, finding.items) for finding in found] == [("duplicate", ("a", "c", "d"))]
    assert "hold the same image" in found[0].message


def test_near_duplicates_join_groups_of_duplicates() -> None:
    items = [reading("a", "x", seed=1), reading("b", "y", seed=1), reading("c", "y", seed=1), reading("d", "z", seed=2)]
    found = find_duplicates(items)
    assert [(finding.kind, finding.items) for finding in found] == [("near-duplicate", ("a", "b", "c"))]
    assert "correlation 1.00" in found[0].message


def test_items_that_could_not_be_read_are_no_duplicates() -> None:
    assert find_duplicates([reading("a", None), reading("b", None)]) == []


def test_a_group_over_two_folds_is_a_leak() -> None:
    found = find_duplicates([reading("a", "x", split="fold 0"), reading("b", "x", split="fold 1")])
    assert found[0].kind == "leak"
    assert "in fold 0, fold 1" in found[0].message


def test_a_patient_is_in_one_part() -> None:
    items = [
        reading("a", "1", patient="p"),
        reading("b", "2", split="test", patient="p"),
        reading("c", "3", patient="q"),
        reading("d", "4", patient="q"),
        reading("e", "5", split="test"),
    ]
    found = find_patient_leaks(items, [])
    assert [(finding.kind, finding.items) for finding in found] == [("patient leak", ("a", "b"))]


def test_a_leak_is_reported_once() -> None:
    items = [reading("a", "1", patient="p"), reading("b", "1", split="test", patient="p")]
    assert find_patient_leaks(items, find_duplicates(items)) == []


def test_long_lists_of_names_are_cut() -> None:
    found = find_duplicates([reading(f"n{index}", "x") for index in range(9)])
    assert "n5 and 3 more" in found[0].message
    assert len(found[0].items) == 9
