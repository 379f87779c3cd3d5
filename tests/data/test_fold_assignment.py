"""Cases are assigned to folds and test sets by a seed; groups stay together and kinds have similar shares."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from bundle.data import DatalistError
from bundle.data.fold_assignment import assign_folds, balance_folds, cycle_folds, hold_out, split_by_sizes, split_cases


def cases(count: int, visits: int = 1) -> list[dict[str, Any]]:
    return [
        {"image": f"/d/{number:02}_{visit}.nii", "label": "x", "group": f"{number:02}", "kind": str(number % 2)}
        for number in range(count)
        for visit in range(visits)
    ]


def parts_of(split: dict[str, list[dict[str, Any]]]) -> dict[str, set[Any]]:
    found: dict[str, set[Any]] = {}
    for case in split["training"] + split["test"]:
        found.setdefault(case["group"], set()).add(case.get("fold", "test"))
    return found


def test_every_case_is_assigned_once_and_patients_stay_together() -> None:
    split = split_cases("d", cases(11, visits=3), test_share=0.25, folds=4, seed=1)
    assert sorted(case["image"] for case in split["training"] + split["test"]) == [
        case["image"] for case in cases(11, 3)
    ]
    assert all(len(parts) == 1 for parts in parts_of(split).values())
    assert len(split["test"]) == 9
    assert split == split_cases("e", cases(11, visits=3)[::-1], test_share=0.25, folds=4, seed=1)
    assert split != split_cases("d", cases(11, visits=3), test_share=0.25, folds=4, seed=2)


def test_patients_of_many_cases_do_not_fill_one_fold() -> None:
    uneven = [{"image": f"{group}{number}", "group": group} for group in "abcdef" for number in range(ord(group) - 96)]
    split = split_cases("d", uneven, test_share=0, folds=3, seed=0)
    assert set(Counter(case["fold"] for case in split["training"]).values()) == {7}


def test_every_kind_has_a_similar_share_in_all_parts() -> None:
    split = split_cases("d", cases(40), test_share=0.25, folds=5, seed=0, stratum=lambda case: case["kind"])
    assert Counter(case["kind"] for case in split["test"]) == {"0": 5, "1": 5}
    assert set(Counter((case["kind"], case["fold"]) for case in split["training"]).values()) == {3}


def test_cases_without_a_group_are_of_a_patient_each() -> None:
    split = split_cases("d", [{"image": name} for name in "abcd"], test_share=0, folds=4, seed=0)
    assert {case["fold"] for case in split["training"]} == {0, 1, 2, 3}


def test_all_can_be_held_out() -> None:
    split = split_cases("d", cases(1), test_share=1, folds=5, seed=0)
    assert (len(split["training"]), len(split["test"])) == (0, 1)


def test_numbers_out_of_range_are_refused() -> None:
    for options in ({"test_share": 1.5, "folds": 2}, {"test_share": 0, "folds": 1}):
        with pytest.raises(DatalistError, match=r"test_share must lie in \[0, 1\] and folds be 2 or more"):
            split_cases("d", cases(4), seed=0, **options)
    with pytest.raises(DatalistError, match="d: 2 cases or patients are left for 3 folds"):
        split_cases("d", cases(2, visits=4), test_share=0, folds=3, seed=0)


def numbered(count: int) -> list[dict]:
    return [
        {"image": f"/data/images/{number:03}.jpg", "label": f"/data/masks/{number:03}.png"} for number in range(count)
    ]


def test_a_split_has_the_sizes_that_are_asked_for(caplog: pytest.LogCaptureFixture) -> None:
    parts = split_by_sizes(numbered(100), (60, 15, 25), seed=0)
    assert [len(parts[name]) for name in ("training", "validation", "test")] == [60, 15, 25]
    assert sorted(case["image"] for part in parts.values() for case in part) == [
        case["image"] for case in numbered(100)
    ]
    assert not caplog.text
    assert parts == split_by_sizes(numbered(100)[::-1], (60, 15, 25), seed=0)
    assert parts != split_by_sizes(numbered(100), (60, 15, 25), seed=1)


def test_fewer_images_are_split_by_the_same_shares(caplog: pytest.LogCaptureFixture) -> None:
    parts = split_by_sizes(numbered(20), (60, 15, 25), seed=0)
    assert [len(parts[name]) for name in ("training", "validation", "test")] == [12, 3, 5]
    assert "there are 20 images, not 100" in caplog.text
    with pytest.raises(DatalistError, match="3 images are too few"):
        split_by_sizes(numbered(3), (60, 15, 25), seed=0)


def test_folds_are_cycled_through_stratum_after_stratum() -> None:
    units = [f"{kind}{number}" for kind in "ab" for number in range(5)]
    fold_of = cycle_folds(units, 2, seed=1, stratum=lambda unit: unit[0])
    assert list(fold_of.values()) == [0, 1] * 5
    assert {unit[0] for unit in list(fold_of)[:5]} == {"a"}
    assert cycle_folds(units * 2, 2, seed=1, stratum=lambda unit: unit[0]) == fold_of
    assert cycle_folds(units, 2, seed=2, stratum=lambda unit: unit[0]) != fold_of


def test_cases_of_a_group_share_a_fold_and_others_have_one_each() -> None:
    listed = [{"image": "a", "group": "x"}, {"image": "b"}, {"image": "c", "group": "x"}, {"image": "d"}]
    found = assign_folds(listed, 3)
    assert found[0]["fold"] == found[2]["fold"]
    assert {case["fold"] for case in found} == {0, 1, 2}
    assert [{key: case[key] for key in case if key != "fold"} for case in found] == listed


def test_the_fold_with_the_fewest_cases_is_next() -> None:
    assert balance_folds([5, 2, 2, 2, 1], 2) == [0, 1, 1, 1, 0]


def test_units_are_held_out_as_near_to_the_share_as_they_allow() -> None:
    assert hold_out([1] * 4, 0.5) == [True, True, False, False]
    assert hold_out([3, 1, 6], 0.2) == [True, False, False]
    assert hold_out([3, 1, 6], 0) == [False] * 3
