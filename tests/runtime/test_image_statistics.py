"""Statistics are those of the transforms of the workflows."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers.phantoms import noise

from bundle.runtime.image_statistics import color_statistics, volume_statistics
from bundle.transforms import NormalizeContentd, StandardizeIntensityd

PADDED = np.pad(noise((1, 9, 8, 7)), ((0, 0), (2, 2), (2, 2), (2, 2)), constant_values=5)
FLAT = np.zeros((1, 9, 8, 7), np.float32)
FLAT[0, 4, 4, :2] = [3, 9]
IMAGES = {"noise": noise((1, 130, 100, 90)), "padded": PADDED, "mostly one value": FLAT, "constant": np.ones_like(FLAT)}


@pytest.mark.parametrize("image", IMAGES.values(), ids=IMAGES)
@pytest.mark.parametrize("percentiles", [None, (1.0, 99.0)])
@pytest.mark.parametrize("exclude_border", [True, False])
def test_volumes_are_standardized_as_in_a_workflow(
    image: np.ndarray, percentiles: tuple[float, float] | None, exclude_border: bool
) -> None:
    wanted = StandardizeIntensityd("image", percentiles=percentiles, exclude_border=exclude_border)
    found = volume_statistics(image, percentiles, exclude_border=exclude_border)
    expected = wanted({"image": torch.as_tensor(image)})["image"].numpy()
    np.testing.assert_allclose(found.standardize(image), expected, atol=1e-5)
    assert found.remarks == wanted._statistics(torch.as_tensor(image))[1]
    assert found.row.shape == (1, 4)


@pytest.mark.parametrize("tolerance", [0.0, 0.01, 0.7, 9.0])
@pytest.mark.parametrize("border", [0, 6, 40])
def test_channels_have_the_statistics_of_a_workflow(tolerance: float, border: int) -> None:
    image = np.pad(noise((3, 40, 50)), ((0, 0), (border, border), (0, 0)), constant_values=0.5)
    wanted = NormalizeContentd("image", tolerance=tolerance).statistics(torch.as_tensor(image))
    np.testing.assert_allclose(color_statistics(image, tolerance).row, [wanted], atol=1e-6)


def test_a_border_that_does_not_count_is_remarked_on() -> None:
    image = np.pad(noise((3, 40, 50)), ((0, 0), (6, 6), (0, 0)), constant_values=0.5)
    assert "a constant border, 23.1% of the image" in color_statistics(image, 0.0).remarks[0]
