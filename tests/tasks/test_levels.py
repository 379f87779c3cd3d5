from __future__ import annotations

import pytest

from bundle.tasks.spine.discs import LEVEL_NAMES, from_totalspineseg, level_name, level_number, to_totalspineseg
from bundle.tasks.spine.discs.levels import (
    OTHER_LANDMARKS,
    TOTALSPINESEG,
    Numbering,
    check_variants,
    disc_number,
    disc_numbers,
    disc_value,
    level_order,
    levels_with,
    trained_level,
)

NAMES = [
    *("C1-top", "C1-C2", "C2-C3", "C3-C4", "C4-C5", "C5-C6", "C6-C7", "C7-T1"),
    *("T1-T2", "T2-T3", "T3-T4", "T4-T5", "T5-T6", "T6-T7", "T7-T8", "T8-T9", "T9-T10", "T10-T11", "T11-T12"),
    *("T12-L1", "L1-L2", "L2-L3", "L3-L4", "L4-L5", "L5-S1"),
]
TSS = {3: 63, 4: 64, 5: 65, 6: 66, 7: 67, 8: 71, 9: 72, 10: 73, 11: 74, 12: 75, 13: 76, 14: 77, 15: 78, 16: 79}
TSS |= {17: 80, 18: 81, 19: 82, 20: 91, 21: 92, 22: 93, 23: 94, 24: 95, 25: 100}


def test_the_numbers_are_those_of_the_spinal_cord_toolbox() -> None:
    assert list(LEVEL_NAMES) == list(range(1, 26))
    assert [level_name(number) for number in range(1, 26)] == NAMES


@pytest.mark.parametrize("number", range(1, 26))
def test_a_name_leads_back_to_its_number_in_every_spelling(number: int) -> None:
    name = level_name(number)
    for spelling in (name, name.lower(), name.replace("-", "/"), f" {name} "):
        assert level_number(spelling) == number


def test_the_sacrum_may_go_without_its_number() -> None:
    assert level_number("L5-S") == 25


def test_totalspineseg_values_are_converted_both_ways() -> None:
    assert TOTALSPINESEG == TSS
    assert {number: to_totalspineseg(number) for number in TSS} == TSS
    assert {from_totalspineseg(value): value for value in TSS.values()} == TSS


def test_a_value_of_a_map_is_a_disc_in_one_numbering_and_none_in_the_other() -> None:
    assert [disc_number(value) for value in (1, 25, 26, 49, 63)] == [1, 25, None, None, None]
    assert [disc_number(value, "totalspineseg") for value in (1, 25, 63, 83, 100)] == [None, None, 3, None, 25]
    assert all(disc_number(value) is None for value in OTHER_LANDMARKS)


def test_what_is_not_a_disc_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"26 is not the number of a disc; they range from 1 \(C1-top\) to 25 \(L5-S1\)"
    ):
        level_name(26)
    with pytest.raises(ValueError, match=r"'C8-T1' is not the name of a disc; write it like"):
        level_number("C8-T1")
    with pytest.raises(ValueError, match=r"no value for C1-C2 \(2\)"):
        to_totalspineseg(2)
    with pytest.raises(ValueError, match=r"50 is not a disc in TotalSpineSeg's numbering"):
        from_totalspineseg(50)
    with pytest.raises(ValueError, match="must be one of sct, totalspineseg, verse, sct_template, got 'tss'"):
        disc_number(3, "tss")


def test_verse_has_100_more_than_the_vertebra_above() -> None:
    assert [disc_value(number, "verse") for number in (1, 2, 3, 25)] == [None, 101, 102, 124]
    assert [disc_number(value, "verse") for value in (100, 101, 102, 124, 126)] == [None, 2, 3, 25, None]


@pytest.mark.parametrize(
    ("counts", "names"),
    [
        ({"lumbar": 6}, ["T12-L1", "L1-L2", "L2-L3", "L3-L4", "L4-L5", "L5-L6", "L6-S1"]),
        ({"thoracic": 13}, ["T12-T13", "T13-L1", "L1-L2", "L2-L3", "L3-L4", "L4-L5", "L5-S1"]),
        ({"thoracic": 13, "lumbar": 6}, ["T13-L1", "L1-L2", "L2-L3", "L3-L4", "L4-L5", "L5-L6", "L6-S1"]),
    ],
)
def test_a_spine_with_another_vertebra_has_its_discs_in_order(counts: dict[str, int], names: list[str]) -> None:
    numbers = levels_with(**counts)
    assert [level_name(number) for number in numbers[-7:]] == names
    assert [level_number(name) for name in names] == list(numbers[-7:])
    assert sorted(numbers, key=level_order) == list(numbers)
    assert len(numbers) == 25 + len(counts)
    check_variants(numbers)


def test_the_discs_of_a_usual_spine_are_all_others() -> None:
    assert levels_with() == tuple(range(1, 26))
    assert level_number("L6-S") == 255


def test_a_network_knows_the_discs_above_l1_and_s1_whatever_is_above_them() -> None:
    assert [trained_level(number) for number in levels_with(thoracic=13, lumbar=6)[17:]] == [
        *(18, 19, None, 20, 21, 22, 23, 24, None, 25)
    ]


@pytest.mark.parametrize("numbers", [(25, 255), (245, 25), (20, 195), (205, 19, 20)])
def test_discs_of_two_kinds_of_spines_are_not_in_one(numbers: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="are not in one spine"):
        check_variants(numbers)


@pytest.mark.parametrize("counts", [{}, {"lumbar": 6}, {"thoracic": 13}, {"thoracic": 13, "lumbar": 6}])
def test_values_of_verse_lead_back_to_the_discs_of_their_spine(counts: dict[str, int]) -> None:
    numbers = levels_with(**counts)[1:]
    values = {disc_value(number, "verse"): number for number in numbers}
    assert len(values) == len(numbers)
    assert disc_numbers([value for value in values if value is not None], "verse") == values


@pytest.mark.parametrize(("numbering", "values"), [("sct", [None, 20, None, 25]), ("totalspineseg", [None] * 4)])
def test_other_numberings_have_values_for_the_discs_above_l1_and_s1_alone(
    numbering: Numbering, values: list[int | None]
) -> None:
    assert [disc_value(number, numbering) for number in (195, 205, 245, 255)] == values
    assert disc_numbers([20, 25, 195, 255]) == {20: 20, 25: 25, 195: None, 255: None}
