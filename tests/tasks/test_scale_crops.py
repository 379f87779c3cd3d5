"""RandScaleCropd cuts crops of the given scales from the center of an image."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from bundle.tasks.classification import CropAverageInferer, RandScaleCropd

ROWS, COLUMNS = torch.meshgrid(torch.arange(300.0), torch.arange(400.0), indexing="ij")
IMAGE = torch.stack([ROWS, COLUMNS, ROWS])


def crop(seed: int, **options: Any) -> torch.Tensor:
    transform = RandScaleCropd("image", spatial_size=(32, 24), **options).set_random_state(seed)
    return transform({"image": IMAGE})["image"]


def extents(result: torch.Tensor) -> tuple[float, float]:
    """Return which shares of the rows and columns a crop shows; its ends are half a pixel in."""
    height = float(result[0].max() - result[0].min()) / 300 * 32 / 31
    width = float(result[1].max() - result[1].min()) / 400 * 24 / 23
    return height, width


def test_every_scale_and_the_complete_image_have_their_frequency() -> None:
    found: Counter[float] = Counter()
    for seed in range(300):
        result = crop(seed)
        assert result.shape == (3, 32, 24)
        height, width = extents(result)
        assert height == pytest.approx(width, abs=0.04)
        found[round(height * 5) / 5] += 1
    assert sorted(found) == [0.2, 0.4, 0.6, 0.8, 1.0]
    assert all(35 < count < 90 for count in found.values())


def test_crops_lie_in_the_region_that_is_larger_by_the_jitter() -> None:
    middles = np.array([crop(seed, scales=[0.4], whole=0).mean((1, 2))[:2].numpy() for seed in range(100)])
    away = middles / (300, 400) - 0.5
    assert np.abs(away).max() < 0.4 * 0.25 / 2 + 0.01
    assert (away.max(axis=0) > 0.035).all()
    assert (away.min(axis=0) < -0.035).all()
    fixed = [crop(seed, scales=[0.4], whole=0, jitter=0).mean((1, 2)).numpy() for seed in range(3)]
    np.testing.assert_allclose(fixed, [[149.5, 199.5, 149.5]] * 3, atol=0.1)


def test_the_complete_image_is_resized_with_smoothing() -> None:
    expected = torch.nn.functional.interpolate(IMAGE[None], (32, 24), mode="bilinear", antialias=True)[0]
    torch.testing.assert_close(crop(0, whole=1), expected)


def test_test_crops_are_cut_like_those_of_training(monkeypatch: pytest.MonkeyPatch) -> None:
    transform = RandScaleCropd("image", spatial_size=(32, 24))
    monkeypatch.setattr(transform, "randomize", lambda: None)
    boxes = list(CropAverageInferer((32, 24)).boxes((300, 400)))
    for box, drawn in [(boxes[1], (0.2, 0, 0)), (boxes[2], (0.2, 1, 1)), (boxes[3], (0.4, 0, 1))]:
        transform.drawn = drawn
        expected = torch.nn.functional.interpolate(
            IMAGE[(None, slice(None), *box)], size=(32, 24), mode="bilinear", antialias=True
        )
        torch.testing.assert_close(transform({"image": IMAGE})["image"], expected[0])


def test_metadata_stay_and_the_seed_decides() -> None:
    image = MetaTensor(IMAGE, meta={"filename_or_obj": "a.png"})
    transform = RandScaleCropd(["image", "other"], spatial_size=(8, 8), allow_missing_keys=True)
    first = transform.set_random_state(1)({"image": image})["image"]
    again = transform.set_random_state(1)({"image": image})["image"]
    assert first.meta["filename_or_obj"] == "a.png"
    assert torch.equal(first, again)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"spatial_size": [32]}, r"spatial_size must be two positive numbers, got \[32\]"),
        ({"scales": []}, "scales must be one or more numbers"),
        ({"scales": [0.0]}, r"in \(0, 1\], got \[0.0\]"),
        ({"jitter": -1}, "jitter must not be negative"),
        ({"whole": 2}, r"whole lie in \[0, 1\], got 0.25 and 2"),
    ],
)
def test_invalid_arguments_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RandScaleCropd("image", **{"spatial_size": (32, 24), **options})
