"""Margin and entropy of structures, inside and on their borders, are the same by any slabs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers.phantoms import noise

from bundle.inference.confidence_numbers import ConfidenceNumbers

NAMES = {"one": 1, "two": 2}


def scores_of_blobs() -> torch.Tensor:
    """Return scores ``(3, 9, 8, 7)`` of two structures that touch, with noise."""
    labels = np.zeros((9, 8, 7), np.int64)
    labels[1:6, 2:7, 1:5], labels[6:8, 2:7, 1:6] = 1, 2
    scores = torch.as_tensor(noise((3, *labels.shape)) * 0.2).float()
    return scores + 3 * torch.nn.functional.one_hot(torch.as_tensor(labels), 3).permute(3, 0, 1, 2)


def expected(scores: torch.Tensor) -> dict[str, dict[str, float]]:
    """Measure voxel by voxel."""
    probability = np.exp(scores.double().numpy())
    probability /= probability.sum(0)
    ordered = np.sort(probability, axis=0)
    margin, entropy = ordered[-1] - ordered[-2], -(probability * np.log(probability)).sum(0) / np.log(3)
    labels = probability.argmax(0)
    padded = np.pad(labels, 1, mode="edge")
    found = {}
    for name, value in NAMES.items():
        inside = list(zip(*np.nonzero(labels == value), strict=True))
        steps = [step for axis in np.eye(3, dtype=int) for step in (axis, -axis)]
        border = [p for p in inside if any(padded[tuple(np.add(p, 1) + step)] != value for step in steps)]
        found[name] = {
            f"{prefix}{kind}": float(np.mean([values[place] for place in places]))
            for prefix, places in (("", inside), ("border_", border))
            for kind, values in (("margin", margin), ("entropy", entropy))
        }
    return found


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("slab", [1, 2, 3, 99])
def test_slabs_along_any_axis_give_the_numbers_of_the_voxels(axis: int, slab: int) -> None:
    scores = scores_of_blobs()
    numbers = ConfidenceNumbers(classes=3, axis=axis)
    for part in scores.split(slab, dim=axis + 1):
        buffer = part.clone()
        labels, highest = numbers.add(buffer)
        assert torch.equal(labels, part.argmax(0))
        assert torch.allclose(highest, part.softmax(0).max(0).values[labels > 0])
        buffer.zero_()
    found = numbers.finish(NAMES)
    wanted = expected(scores)
    assert found == {name: pytest.approx(values, abs=1e-4) for name, values in wanted.items()}


def test_a_structure_without_voxels_has_no_numbers() -> None:
    numbers = ConfidenceNumbers(classes=3, axis=0)
    assert numbers.finish(NAMES) == {}
    numbers.add(torch.zeros(3, 2, 2, 2))
    assert numbers.finish(NAMES) == {}


def test_a_structure_that_fills_the_image_has_no_border() -> None:
    numbers = ConfidenceNumbers(classes=2, axis=0)
    scores = torch.zeros(2, 3, 3, 3)
    scores[1] = 9.0
    numbers.add(scores)
    assert numbers.finish({"all": 1})["all"] == {"margin": pytest.approx(0.9998, abs=1e-4), "entropy": 0.0018}
