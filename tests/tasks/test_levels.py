from __future__ import annotations

import pytest

from bundle.tasks.spine.discs import LEVEL_NAMES, from_totalspineseg, level_name, level_number, to_totalspineseg
from bundle.tasks.spine.discs.levels import OTHER_LANDMARKS, TOTALSPINESEG, disc_number, disc_value

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
    assert [disc_number(value, "verse") for value in (100, 101, 102, 124, 125)] == [None, 2, 3, 25, None]
