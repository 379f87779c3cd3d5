from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from bundle.tasks.spine import DISC_METRICS, LEVEL_METRICS, compare_discs, match_points
from bundle.tasks.spine.disc_metrics import points_by_level, spine_tangents
from bundle.tasks.spine.discs import Disc

SPINE = {value: (1.0, 2.0, 500.0 - 30.0 * value) for value in range(20, 26)}


def moved(shift: int = 0, by: tuple[float, float, float] = (0, 0, 0)) -> dict[int, tuple[float, ...]]:
    """Return the spine with other levels and places."""
    return {value + shift: tuple(np.add(place, by)) for value, place in SPINE.items()}


def reversed_spine(levels: list[int]) -> dict[int, tuple[float, ...]]:
    return {value: SPINE[other] for value, other in zip(levels, reversed(levels), strict=True)}


def metrics(pred: object, reference: object, **options: object) -> dict[str, float]:
    return compare_discs(pred, reference, **options).metrics


def least_sum(distances: np.ndarray, limit: float) -> float:
    """Return the least sum of distances, but at most the limit, over all one-to-one pairings, by trying them all."""
    d = distances if distances.shape[0] <= distances.shape[1] else distances.T
    unmatched = limit * (distances.shape[0] - d.shape[0])
    rows = range(d.shape[0])
    return unmatched + min(
        sum(min(d[row, column], limit) for row, column in zip(rows, columns, strict=True))
        for columns in itertools.permutations(range(d.shape[1]), d.shape[0])
    )


def test_a_right_labeling_is_perfect() -> None:
    comparison = compare_discs(SPINE, SPINE)
    assert tuple(comparison.metrics) == DISC_METRICS
    assert all(tuple(row) == LEVEL_METRICS for row in comparison.levels.values())
    found = comparison.metrics
    assert (found["identification_rate"], found["identification_rate_far"], found["level_right"]) == (1, 1, 1)
    assert (
        found["false_negative_rate"],
        found["false_positive_rate"],
        found["shift"],
        found["off_by_one"],
        found["reversed"],
    ) == (0, 0, 0, 0, 0)
    assert found["distance_median_mm"] == found["distance_std_mm"] == 0


@pytest.mark.parametrize("levels", [[20, 21, 22, 23, 24, 25], [20, 21, 22, 23, 24], [20, 21]])
def test_a_reversed_labeling_scores_zero_even_in_its_middle(levels: list[int]) -> None:
    reference = {value: SPINE[value] for value in levels}
    found = metrics(reversed_spine(levels), reference)
    assert (found["identification_rate"], found["identification_rate_far"], found["level_right"]) == (0, 0, 0)
    assert found["reversed"] == 1
    assert found["off_by_one"] == 0
    assert found["false_negative_rate"] == found["false_positive_rate"] == found["distance_mean_mm"] == 0, (
        "the discs are found, their levels are not"
    )


def test_the_order_is_evaluated_along_s_where_the_reference_has_no_direction() -> None:
    pred = {20: (0.0, 0.0, 0.0), 21: (0.0, 0.0, 30.0)}
    assert metrics(pred, {})["reversed"] == metrics(pred, {20: (0.0, 0.0, 0.0)})["reversed"] == 1
    assert metrics({20: (0.0, 0.0, 0.0)}, SPINE)["reversed"] == 0


@pytest.mark.parametrize("shift", [-1, 1, 2])
def test_a_shifted_labeling_has_its_shift(shift: int) -> None:
    found = metrics(moved(shift), SPINE)
    assert found["shift"] == shift
    assert found["off_by_one"] == (abs(shift) == 1)
    assert found["identification_rate"] == found["level_right"] == found["false_negative_rate"] == 0


def test_there_is_no_shift_without_a_majority() -> None:
    pred = {20: SPINE[20], 21: SPINE[21], 23: SPINE[22], 24: SPINE[23]}
    found = metrics(pred, {value: SPINE[value] for value in (20, 21, 22, 23)})
    assert math.isnan(found["shift"])
    assert (found["off_by_one"], found["level_right"], found["identification_rate"]) == (0, 0, 0.5)


def test_errors_are_in_space_in_the_plane_along_the_spine_and_along_s() -> None:
    tilt = np.radians(30)
    down = np.array([0, math.sin(tilt), -math.cos(tilt)])
    spine = {value: tuple(30 * (value - 20) * down) for value in range(20, 25)}
    across = np.array([0, math.cos(tilt), math.sin(tilt)])
    offset = 3 * down + 2 * across + np.array([1.0, 0, 0])
    row = compare_discs({21: tuple(np.add(spine[21], offset))}, spine).levels[21]
    assert row["error_mm"] == row["distance_mm"] == pytest.approx(math.sqrt(14))
    assert row["error_in_plane_mm"] == row["distance_in_plane_mm"] == pytest.approx(math.sqrt(13))
    assert row["error_along_mm"] == row["distance_along_mm"] == pytest.approx(3)
    assert row["error_is_mm"] == row["distance_is_mm"] == pytest.approx(abs(offset[2]))


def test_directions_follow_a_curved_spine() -> None:
    angles = np.linspace(0, 1, 8)
    circle = np.stack([0 * angles, 100 * np.cos(angles), -100 * np.sin(angles)], axis=1)
    expected = np.stack([0 * angles, -np.sin(angles), -np.cos(angles)], axis=1)
    assert np.allclose(spine_tangents(circle)[1:-1], expected[1:-1])
    assert np.allclose(spine_tangents(circle[:1]), [[0, 0, -1]])
    assert np.allclose(spine_tangents(np.zeros((3, 3))), [[0, 0, -1]] * 3)
    assert spine_tangents(np.empty((0, 3))).shape == (0, 3)


def test_matching_is_the_best_of_all_pairings() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        shape = tuple(rng.integers(1, 6, size=2))
        distances, limit = rng.uniform(0, 10, size=shape), float(rng.uniform(2, 12))
        rows, columns = match_points(distances, limit)
        assert len(set(rows.tolist())) == len(set(columns.tolist())) == len(rows)
        kept = distances[rows, columns]
        assert (kept < limit).all()
        assert kept.sum() + limit * (shape[0] - len(rows)) == pytest.approx(least_sum(distances, limit))


def test_a_miss_and_an_invention_at_the_ends_leave_the_matches_between_them() -> None:
    pred = {value: place for value, place in moved(by=(0, 0, -30)).items() if value < 25} | {25: (0.0, 0.0, -500.0)}
    comparison = compare_discs(pred, SPINE)
    assert comparison.false_negatives.tolist() == [True] + [False] * 5
    assert comparison.false_positives.tolist() == [False] * 5 + [True]
    assert comparison.metrics["shift"] == -1


def test_three_predictions_on_one_disc_are_two_inventions() -> None:
    pred = {21: SPINE[21], 22: np.add(SPINE[21], 1), 23: np.subtract(SPINE[21], 1)}
    found = metrics(pred, {21: SPINE[21]})
    assert (found["false_positives"], found["false_positive_rate"], found["false_negatives"]) == (
        2,
        pytest.approx(2 / 3),
        0,
    )


def test_a_prediction_far_in_front_is_a_miss_and_an_invention() -> None:
    found = metrics(moved(by=(0, 200, 0)), SPINE)
    assert (found["false_negative_rate"], found["false_positive_rate"], found["identification_rate"]) == (1, 1, 0)
    assert math.isnan(found["distance_median_mm"])
    assert math.isnan(found["off_by_one"])
    assert found["level_right"] == 0, "no disc was matched"


def test_thresholds_are_met_below_them() -> None:
    reference = {21: (0.0, 0.0, 0.0)}
    assert metrics({21: (0.0, 0.0, 4.99)}, reference)["identification_rate"] == 1
    assert metrics({21: (0.0, 0.0, 5.0)}, reference)["identification_rate"] == 0
    assert metrics({21: (0.0, 0.0, 5.0)}, reference)["false_negative_rate"] == 1
    assert metrics({21: (0.0, 0.0, 19.0)}, reference)["identification_rate_far"] == 1
    assert metrics({21: (0.0, 0.0, 20.0)}, reference)["identification_rate_far"] == 0


def test_a_distance_at_a_threshold_is_not_below_it_in_a_rotated_scan() -> None:
    reference = {21: (0.0, 0.0, 0.0)}
    for limit, metric in ((5.0, "identification_rate"), (20.0, "identification_rate_far")):
        for error in (-1e-7, 0.0, 1e-7):
            assert metrics({21: (0.0, 0.0, limit * (1 + error))}, reference)[metric] == 0


def test_a_level_nearer_to_another_reference_is_not_identified() -> None:
    reference = {21: (0.0, 0.0, 0.0), 22: (0.0, 0.0, -30.0)}
    assert compare_discs({21: (0.0, 0.0, -14.9)}, reference).levels[21]["identified_far"] == 1
    assert compare_discs({21: (0.0, 0.0, -15.1)}, reference).levels[21]["identified_far"] == 0


def test_distances_can_be_limited_in_the_plane_alone() -> None:
    pred = moved(by=(8, 0, 0))
    assert metrics(pred, SPINE)["identification_rate"] == 0
    found = metrics(pred, SPINE, in_plane=True)
    assert (found["identification_rate"], found["false_negative_rate"]) == (1, 0)
    assert (found["distance_median_mm"], found["in_plane_median_mm"]) == (8, 0)


def test_predictions_beyond_an_incomplete_reference_are_ignored() -> None:
    reference = {value: SPINE[value] for value in (22, 23)}
    assert metrics(SPINE, reference)["false_positives"] == 4
    found = metrics(SPINE, reference, complete=False)
    assert (found["predictions"], found["false_positives"], found["false_positive_rate"]) == (2, 0, 0)
    between = {24: np.add(SPINE[22], (0, 0, -15))}
    assert metrics(between, reference, complete=False)["false_positive_rate"] == 1
    assert metrics(SPINE, {}, complete=False)["predictions"] == 0


def test_exams_without_discs_are_defined() -> None:
    nothing, unpredicted, unreferenced = metrics({}, {}), metrics({}, SPINE), metrics(SPINE, {})
    counts = ("references", "predictions", "false_negatives", "false_positives", "reversed")
    assert [nothing[name] for name in counts] == [0, 0, 0, 0, 0]
    assert all(math.isnan(nothing[name]) for name in DISC_METRICS if name not in counts)
    assert [unpredicted[name] for name in counts] == [6, 0, 6, 0, 0]
    assert (unpredicted["identification_rate"], unpredicted["false_negative_rate"], unpredicted["level_right"]) == (
        0,
        1,
        0,
    )
    assert math.isnan(unpredicted["false_positive_rate"])
    assert [unreferenced[name] for name in counts] == [0, 6, 0, 6, 0]
    assert (
        unreferenced["false_positive_rate"],
        math.isnan(unreferenced["false_negative_rate"]),
        math.isnan(unreferenced["identification_rate"]),
    ) == (1, 1, 1)


def test_a_single_disc_is_defined() -> None:
    found = metrics({21: SPINE[21]}, {21: SPINE[21]})
    assert (found["identification_rate"], found["level_right"], found["shift"], found["distance_std_mm"]) == (
        1,
        1,
        0,
        0,
    )


def test_discs_arrays_and_mappings_say_the_same() -> None:
    discs = [Disc(value, place, 0.5) for value, place in SPINE.items()]
    array = np.array([[value, *place] for value, place in reversed(SPINE.items())])
    expected = points_by_level(SPINE)
    for points in (discs, array):
        found = points_by_level(points)
        assert list(found) == list(expected)
        assert all(np.array_equal(found[value], expected[value]) for value in expected)
    assert points_by_level(np.array([[21.0, 0, 0, math.nan]])) == {}


def test_points_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match=r"levels \[21\] have several"):
        compare_discs([], np.array([[21.0, 0, 0, 0], [21.0, 0, 0, 9]]))
    with pytest.raises(ValueError, match="three coordinates"):
        compare_discs({21: (0.0, 1.0)}, {})


def test_a_disc_above_the_sacrum_is_compared_with_another_and_an_additional_one_is_left_out() -> None:
    reference = {24: (0, 0, 60), 25: (0, 0, 0)}
    predicted = [Disc(24, (0, 0, 60)), Disc(245, (0, 0, 30)), Disc(255, (0, 0, 0))]
    metrics = compare_discs(predicted, reference).metrics
    assert (metrics["identification_rate"], metrics["false_positives"], metrics["level_right"]) == (1, 0, 1)
