"""Class numbers from the probabilities of a segmented image."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bundle.tasks.images.mask_decision import MaskDecision


def test_a_single_class_is_decided_by_its_threshold() -> None:
    decision = MaskDecision({"lesion": 1}, threshold=0.25)
    assert (decision.channels, decision.channel(1)) == (1, 0)
    classes = decision.classes(np.array([[[0.2, 0.25, 0.3]]], dtype=np.float32))
    assert classes.dtype == np.uint8
    assert classes.tolist() == [[0, 0, 1]]


def test_of_several_classes_the_most_probable_is_used() -> None:
    decision = MaskDecision({"a": 1, "b": 2})
    assert (decision.channels, decision.channel(2)) == (3, 2)
    assert decision.classes(np.array([[[0.4, 0.1]], [[0.3, 0.2]], [[0.3, 0.7]]])).tolist() == [[0, 2]]


def test_the_largest_region_of_every_class_can_be_kept_without_holes() -> None:
    probability = np.zeros((1, 8, 8))
    probability[0, 1:4, 1:4] = 0.9
    probability[0, 2, 2] = 0.0
    probability[0, 6, 6] = 0.9
    assert MaskDecision({"a": 1}).classes(probability).sum() == 9
    kept = MaskDecision({"a": 1}, single_region="true").classes(probability)
    assert kept.sum() == kept[1:4, 1:4].sum() == 9


def test_a_region_needs_the_mean_probability_that_is_asked_for() -> None:
    probability = np.zeros((1, 4, 9), np.float32)
    probability[0, 1:3, 1:3] = [[0.6, 0.6], [0.7, 0.7]]
    probability[0, 1:3, 5:7] = [[0.6, 0.9], [0.9, 0.8]]
    assert MaskDecision({"a": 1}).classes(probability).sum() == 8
    kept = MaskDecision({"a": 1}, region_confidence=0.75).classes(probability)
    assert kept.sum() == kept[1:3, 5:7].sum() == 4
    single = MaskDecision({"a": 1}, region_confidence=0.7, single_region=True)
    assert single.classes(probability)[1, 5] == 1
    assert not MaskDecision({"a": 1}, region_confidence=0.85).classes(probability).any()


def test_a_region_of_several_classes_counts_by_the_probability_of_its_own() -> None:
    probability = np.array([[[0.0, 0.1, 0.0]], [[0.9, 0.5, 0.4]], [[0.1, 0.4, 0.6]]])
    assert MaskDecision({"a": 1, "b": 2}, region_confidence=0.7).classes(probability).tolist() == [[1, 1, 0]]
    assert MaskDecision({"a": 1, "b": 2}, region_confidence=0.5).classes(probability).tolist() == [[1, 1, 2]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"label_names": {"a": 2}}, "label_names must count from 1 to 1, got {'a': 2}"),
        ({"threshold": 1.0}, r"threshold must lie in \[0, 1\), got 1.0"),
        ({"region_confidence": -0.1}, r"region_confidence must lie in \[0, 1\), got -0.1"),
        ({"single_region": "maybe"}, "single_region must be true or false"),
    ],
)
def test_invalid_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MaskDecision(**{"label_names": {"a": 1}, **options})
