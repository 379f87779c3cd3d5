"""A plan is checked in the middle of a volume, in its background and where its contrast is largest."""

from __future__ import annotations

import pytest
import torch
from helpers.phantoms import noise
from monai.data import MetaTensor

from bundle.inference.plan_windows import sample_windows

ROI = (4, 4)


@pytest.fixture
def image() -> torch.Tensor:
    """Noise with air in the lower left and a bright voxel in the upper right corner."""
    image = torch.as_tensor(noise((1, 1, 12, 12), 0)).clamp(-1, 1)
    image[..., 8:, :4] = -0.8
    image[..., 0, 11] = 20
    return image


def test_windows_are_the_middle_the_flattest_and_the_one_of_most_contrast(image: torch.Tensor) -> None:
    windows = sample_windows(MetaTensor(image), ROI)
    assert not isinstance(windows, MetaTensor)
    assert torch.equal(windows, torch.stack([image[0, :, 4:8, 4:8], image[0, :, 8:, :4], image[0, :, :4, 8:]]))


def test_windows_that_are_skipped_are_not_sampled(image: torch.Tensor) -> None:
    windows = sample_windows(image, ROI, skip_constant=True)
    assert len(windows) == 3
    assert all(window.std() > 0 for window in windows)
    assert sample_windows(torch.zeros(1, 1, 12, 12), ROI, skip_constant=True).shape == (1, 1, *ROI)


def test_the_range_is_that_of_all_channels() -> None:
    image = torch.zeros(1, 2, 4, 12)
    image[:, 0, 0, 0], image[:, :, 0, 8] = 1.5, 1
    assert torch.equal(sample_windows(image, ROI)[-1], image[0, ..., 8:])


def test_each_window_is_returned_once() -> None:
    assert sample_windows(torch.zeros(2, 1, 4, 4), ROI).shape == (1, 1, *ROI)
    assert sample_windows(torch.zeros(1, 1, 12, 12), ROI).shape == (2, 1, *ROI)


def test_a_small_image_is_padded_on_both_sides() -> None:
    windows = sample_windows(torch.ones(1, 3, 1, 2), ROI)
    expected = torch.zeros(1, 3, *ROI)
    expected[..., 1, 1:3] = 1
    assert torch.equal(windows, expected)
