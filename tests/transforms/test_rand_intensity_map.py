"""Random contrasts of tissues."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from helpers.phantoms import meta_tensor
from monai.data import MetaTensor

from bundle.transforms import RandIntensityMapd


def test_a_map_of_intensities_keeps_their_mean_spread_and_place() -> None:
    image = meta_tensor(
        torch.randn(1, 1, 30, 40, generator=torch.Generator().manual_seed(0)), np.diag([6, 1.5, 1.5, 1])
    )
    transform = RandIntensityMapd("image", prob=1.0)
    transform.set_random_state(0)
    made = transform({"image": image, "other": 1})
    found = made["image"]
    assert made["other"] == 1
    assert found.dtype == image.dtype
    assert isinstance(found, MetaTensor)
    np.testing.assert_allclose(found.affine, image.affine)
    assert float(found.mean()) == pytest.approx(float(image.mean()), abs=1e-5)
    assert float(found.std()) == pytest.approx(float(image.std()), rel=1e-5)
    assert not torch.allclose(found, image, atol=0.1)


def test_a_map_depends_on_the_intensity_alone_and_without_strength_is_none() -> None:
    image = torch.tensor([[0.0, 1.0, 2.0, 1.0, 0.0, 5.0]])
    transform = RandIntensityMapd("image", prob=1.0, strength=0.5)
    transform.set_random_state(1)
    found = transform({"image": image})["image"]
    assert found[0, 0] == found[0, 4]
    assert found[0, 1] == found[0, 3]
    same = RandIntensityMapd("image", prob=1.0, strength=0.0)({"image": image})["image"]
    torch.testing.assert_close(same, image)


def test_maps_may_fall() -> None:
    ramp = torch.linspace(0, 1, 101)[None]
    transform = RandIntensityMapd("image", prob=1.0, strength=0.3)
    transform.set_random_state(0)
    slopes = [transform({"image": ramp})["image"].diff() for _ in range(20)]
    assert sum(bool((slope < 0).any()) for slope in slopes) > 10


def test_flat_images_and_flat_curves_are_in_order() -> None:
    flat = torch.full((1, 4, 4), 3.0)
    transform = RandIntensityMapd("image", prob=1.0, points=2)
    assert torch.equal(transform({"image": flat})["image"], flat)
    transform.R = _Opposite()  # type: ignore[assignment]
    image = torch.tensor([[0.0, 1.0, 2.0]])
    torch.testing.assert_close(transform({"image": image})["image"], torch.full((1, 3), 1.0))


class _Opposite:
    """Draws that level the curve out."""

    def rand(self) -> float:
        return 0.0

    def normal(self, mean: float, sd: float, size: int) -> np.ndarray:
        return -np.linspace(0, 1, size)


def test_a_map_is_drawn_with_its_probability_and_a_missing_key_passed_over() -> None:
    image = torch.tensor([[0.0, 1.0, 2.0, 5.0]])
    transform = RandIntensityMapd("image", prob=0.3, strength=0.5)
    transform.set_random_state(0)
    changed = sum(not torch.allclose(transform({"image": image})["image"], image) for _ in range(200))
    assert 40 < changed < 80
    assert RandIntensityMapd("image", prob=1.0, allow_missing_keys=True)({}) == {}


@pytest.mark.parametrize("options", [{"points": 1}, {"strength": -0.1}])
def test_impossible_maps_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="points must be 2 or more and strength 0 or more"):
        RandIntensityMapd("image", **options)
