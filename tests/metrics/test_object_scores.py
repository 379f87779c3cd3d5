"""Metrics of objects over many images."""

from __future__ import annotations

import numpy as np
import pytest

from bundle.metrics.object_scores import OBJECT_METRICS, ObjectScores


def blocks(count: int) -> np.ndarray:
    mask = np.zeros((20, 60), dtype=np.int16)
    for number in range(count):
        mask[5:15, 20 * number + 5 : 20 * number + 15] = 1
    return mask


def test_images_are_averaged_and_nothing_does_not_count() -> None:
    scores = ObjectScores()
    scores.add("a", blocks(2), blocks(2))
    scores.add("b", blocks(1), blocks(3))
    scores.add("c", blocks(0), blocks(0))
    scores.gather()
    found = scores.summary()
    assert set(found) == set(OBJECT_METRICS)
    assert found["count_error"]["mean"] == pytest.approx(2 / 3)
    assert (found["panoptic_quality"]["mean"], found["panoptic_quality"]["n"]) == (pytest.approx(0.75), 2)
    assert found["object_iou"]["mean"] == pytest.approx((1 + 1 / 3) / 2)
    scores.clear()
    assert scores.rows == []


def test_pixels_that_nobody_labeled_are_background() -> None:
    scores, label = ObjectScores(), blocks(1)
    label[:, 20:] = -1
    scores.add("a", blocks(3), label)
    assert (scores.rows[0]["objects"], scores.rows[0]["count_error"]) == (1, 0)
