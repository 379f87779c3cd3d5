from __future__ import annotations

import math

import numpy as np
import pytest

from bundle.tasks.spine import ORIGINAL_METRICS, compare_discs, original_errors, original_summary

SPINE = {value: (0.0, 0.0, -30.0 * value) for value in range(3, 10)}


def literal(pred: np.ndarray, reference: np.ndarray) -> dict[str, float]:
    """Return the definitions of the numbers, one point after the other; points are (A, S) in pixels."""
    l2, z, false_negatives, false_positives = [], [], 0, 0
    for point in reference:
        nearest = min(pred, key=lambda other: math.dist(point, other))
        l2.append(math.dist(point, nearest))
        z.append(abs(point[1] - nearest[1]))
        false_negatives += z[-1] > 7
    for point in pred:
        nearest = min(reference, key=lambda other: math.dist(point, other))
        false_positives += abs(point[1] - nearest[1]) > 10
    values = (np.median(l2), np.std(l2), np.mean(z), np.std(z), false_negatives, false_positives)
    return dict(
        zip(
            ORIGINAL_METRICS, (*values, false_negatives / len(reference), false_positives / len(reference)), strict=True
        )
    )


def test_the_numbers_are_those_of_their_definitions() -> None:
    rng = np.random.default_rng(0)
    for pixel_mm in (1.0, 0.8):
        reference = {value: rng.uniform(-60, 60, 3) for value in range(3, 10)}
        pred = {value: rng.uniform(-60, 60, 3) for value in range(2, 14)}
        found = original_summary([original_errors(pred, reference, pixel_mm=pixel_mm)])
        expected = literal(*(np.array(list(points.values()))[:, 1:] / pixel_mm for points in (pred, reference)))
        assert found == pytest.approx(expected)


def test_a_reversed_labeling_is_perfect_to_them_and_zero_to_ours() -> None:
    backward = dict(zip(SPINE, reversed(SPINE.values()), strict=True))
    assert set(original_summary([original_errors(backward, SPINE)]).values()) == {0.0}
    assert compare_discs(backward, SPINE).metrics["identification_rate"] == 0


def test_faults_that_they_do_not_see() -> None:
    in_front = {value: (0.0, 200.0, s) for value, (_, _, s) in SPINE.items()}
    threefold = {3: SPINE[3], 4: SPINE[3], 5: SPINE[3]}
    for pred, reference in ((in_front, SPINE), (threefold, {3: SPINE[3]})):
        found = original_summary([original_errors(pred, reference)])
        assert (found["FN"], found["FP"]) == (0, 0)
        assert compare_discs(pred, reference).metrics["false_positive_rate"] > 0.5


def test_the_summary_is_over_the_points_of_all_exams() -> None:
    exams = [original_errors({3: (0.0, 0.0, 9.0)}, {3: (0.0, 0.0, 0.0)}), original_errors(SPINE, SPINE)]
    found = original_summary(exams)
    assert found["FNR"] == pytest.approx(1 / 8)
    assert found["mean_z_px"] == pytest.approx(9 / 8)


def test_exams_without_discs_are_defined() -> None:
    false_negatives = original_summary([original_errors({}, SPINE)])
    assert (false_negatives["FN"], false_negatives["FNR"], false_negatives["FP"]) == (7, 1, 0)
    assert math.isnan(false_negatives["median_l2_px"])
    false_positives = original_summary([original_errors(SPINE, {})])
    assert false_positives["FP"] == 7
    assert math.isnan(false_positives["FPR"])
    assert math.isnan(original_summary([])["FNR"])


def test_a_pixel_has_a_size() -> None:
    with pytest.raises(ValueError, match="pixel_mm must be a positive number of mm, got 0"):
        original_errors(SPINE, SPINE, pixel_mm=0)
