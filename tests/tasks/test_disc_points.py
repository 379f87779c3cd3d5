from __future__ import annotations

import dataclasses
import logging
import math

import numpy as np
import pytest

from bundle.tasks.spine.discs import Disc, DiscFileError, from_array, one_per_level, to_array
from bundle.tasks.spine.discs.disc_points import check_name, check_point


def test_a_disc_knows_its_name_and_cannot_be_changed() -> None:
    disc = Disc(3, (1.0, 2.0, 3.0))
    assert (disc.name, disc.confidence) == ("C2-C3", None)
    with pytest.raises(dataclasses.FrozenInstanceError):
        disc.value = 4  # type: ignore[misc]


@pytest.mark.parametrize(
    ("value", "position", "confidence", "message"),
    [
        (0, (1.0, 2.0, 3.0), None, "0 is not the number of a disc"),
        (3, (1.0, math.nan, 3.0), None, "position of C2-C3 must be three finite numbers"),
        (3, (1.0, 2.0), None, "position of C2-C3 must be three finite numbers"),
        (3, (1.0, 2.0, 3.0), 1.5, "confidence of C2-C3 must be between 0 and 1, got 1.5"),
        (3, (1.0, 2.0, 3.0), math.nan, "confidence of C2-C3 must be between 0 and 1"),
    ],
)
def test_an_impossible_disc_is_refused(
    value: int, position: tuple[float, float, float], confidence: float | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Disc(value, position, confidence)


def test_an_array_gives_the_discs_from_head_to_foot_and_back() -> None:
    points = np.array([[25.0, 1, 2, 3], [2, 4.5, 5, 6], [8, -7, 8, 9]])
    discs = from_array(points)
    assert [disc.value for disc in discs] == [2, 8, 25]
    np.testing.assert_array_equal(to_array(discs), points[[1, 2, 0]])
    assert to_array(discs).dtype == np.float64


@pytest.mark.parametrize("empty", [[], np.zeros((0, 4)), np.zeros((0,))])
def test_an_empty_array_gives_no_discs(empty: object) -> None:
    assert from_array(empty) == []  # type: ignore[arg-type]
    assert to_array([]).shape == (0, 4)


def test_arrays_that_do_not_hold_discs_are_refused() -> None:
    with pytest.raises(ValueError, match=r"a.csv: discs must be an array \(n, 4\) of value, R, A, S, got .*\(2, 3\)"):
        from_array(np.zeros((2, 3)), source="a.csv")
    with pytest.raises(ValueError, match=r"numbers of discs must be integers, got \[3\.5\]"):
        from_array([[3.5, 0, 0, 0]])


def test_of_one_level_given_twice_the_mean_is_taken_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    twice = [Disc(4, (0.0, 0.0, 3.0), 0.5), Disc(3, (1.0, 1.0, 1.0)), Disc(4, (0.0, 4.0, 0.0), 0.7)]
    with caplog.at_level(logging.WARNING):
        discs = one_per_level(twice, source="a.json")
    assert discs[0] == Disc(3, (1.0, 1.0, 1.0))
    assert (discs[1].value, discs[1].position) == (4, (0.0, 2.0, 1.5))
    assert discs[1].confidence == pytest.approx(0.6)
    assert caplog.messages == ["a.json: C3-C4 occurs 2 times, up to 5.0 mm apart; their mean is taken."]


def test_points_of_one_level_that_are_far_apart_are_refused() -> None:
    twice = [Disc(4, (0.0, 0.0, 30.0)), Disc(4, (0.0, 0.0, 0.0))]
    with pytest.raises(
        DiscFileError, match=r"^a\.csv: C3-C4 occurs 2 times, up to 30\.0 mm apart; remove the wrong point"
    ):
        one_per_level(twice, source="a.csv")


def test_the_mean_of_annotated_discs_has_no_confidence() -> None:
    assert one_per_level([Disc(4, (0.0, 0.0, 0.0)), Disc(4, (2.0, 0.0, 0.0))]) == [Disc(4, (1.0, 0.0, 0.0))]


def test_a_disc_has_two_points() -> None:
    check_point("posterior")
    check_point("center")
    with pytest.raises(ValueError, match=r"point must be one of posterior, center, got 'tip'"):
        check_point("tip")


def test_a_name_in_a_file_must_be_that_of_the_number() -> None:
    disc = Disc(3, (1.0, 2.0, 3.0))
    assert check_name(disc, "c2/c3") is check_name(disc, None) is disc
    with pytest.raises(ValueError, match="number 3 is C2-C3, not C3-C4"):
        check_name(disc, "C3-C4")
