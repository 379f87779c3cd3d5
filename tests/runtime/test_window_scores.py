"""Blended scores are those of the inferer of the workflows."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from bundle.inference import SlabInferer
from bundle.runtime.window_scores import blend_windows, run_axis

WINDOW = (6, 8, 7)


def pooled(part: np.ndarray) -> np.ndarray:
    """Return scores that depend on the place in the window: a window that is cut otherwise gives others."""
    ramp = np.arange(part.shape[1], dtype=np.float32)[:, None, None]
    return np.concatenate([part * 2, part + ramp])


@pytest.mark.parametrize("size", [(6, 8, 7), (6, 8, 30), (19, 8, 9), (13, 21, 15)])
def test_scores_are_those_of_the_workflow(size: tuple[int, ...]) -> None:
    image = np.random.default_rng(0).random((1, *size), np.float32)
    inferer = SlabInferer(WINDOW, output="scores", overlap=0.3)

    def network(windows: torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(np.stack([pooled(window) for window in windows.numpy()]))

    wanted = inferer(torch.as_tensor(image)[None], network)[0].numpy()
    slabs = [slab.copy() for slab in blend_windows(image, pooled, window=WINDOW, overlap=0.3)]
    found = np.concatenate(slabs, axis=1 + run_axis(size, WINDOW))
    np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_a_volume_smaller_than_the_window_has_the_weights_of_the_padded_one() -> None:
    image = np.random.default_rng(1).random((1, 4, 8, 20), np.float32)

    def network(windows: torch.Tensor) -> torch.Tensor:
        return windows + torch.arange(7.0)

    wanted = SlabInferer(WINDOW, output="scores")(torch.as_tensor(image)[None], network)[0].numpy()
    slabs = blend_windows(image, lambda part: part + np.arange(7, dtype=np.float32), window=WINDOW, overlap=0.25)
    np.testing.assert_allclose(np.concatenate(list(slabs), axis=3), wanted, atol=1e-4)


def test_memory_is_that_of_a_slab() -> None:
    image = np.zeros((1, 6, 8, 70), np.float32)
    slabs = list(blend_windows(image, lambda part: part, window=WINDOW, overlap=0.25))
    assert max(slab.size for slab in itertools.islice(slabs, len(slabs) - 1)) <= 6 * 8 * 7
