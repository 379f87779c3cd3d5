from __future__ import annotations

import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import NormalizeIntensityd

from bundle.transforms import StandardizeIntensityd


@pytest.mark.parametrize("shape", [(1, 5, 6, 7), (1, 40, 6, 7), (2, 17, 8)])
@pytest.mark.parametrize(("scale", "offset"), [(1.0, 0.0), (1e6, 0.0), (3.0, 1e4)])
def test_the_numbers_are_those_of_monai_in_double_precision(
    shape: tuple[int, ...], scale: float, offset: float
) -> None:
    image = torch.randn(shape, generator=torch.Generator().manual_seed(0)) * scale + offset
    expected = (image.double() - image.double().mean()) / image.double().std(unbiased=False)
    found = StandardizeIntensityd("image")({"image": image})["image"]
    torch.testing.assert_close(found.double(), expected, atol=1e-6, rtol=1e-6)
    if offset == 0:
        torch.testing.assert_close(found, NormalizeIntensityd("image")({"image": image})["image"], atol=1e-5, rtol=1e-5)


def test_metadata_stays_and_the_original_is_not_touched() -> None:
    image = MetaTensor(torch.arange(24.0).reshape(1, 2, 3, 4), meta={"filename_or_obj": "a.nii.gz"})
    before = image.clone()
    found = StandardizeIntensityd("image")({"image": image, "label": 3})
    assert found["image"].meta["filename_or_obj"] == "a.nii.gz"
    assert found["label"] == 3
    assert torch.equal(image, before)


def test_integer_images_become_float() -> None:
    found = StandardizeIntensityd("image")({"image": torch.arange(8, dtype=torch.uint8).reshape(1, 2, 2, 2)})["image"]
    assert found.dtype == torch.float32


def test_a_constant_image_becomes_zero() -> None:
    assert not StandardizeIntensityd("image")({"image": torch.full((1, 3, 3, 3), 7.0)})["image"].any()


def test_a_missing_key_is_passed_over_on_request() -> None:
    assert StandardizeIntensityd("image", allow_missing_keys=True)({}) == {}


def test_clipping_keeps_bright_vessels_from_deciding_the_contrast() -> None:
    image = torch.randn(1, 10, 10, 10, generator=torch.Generator().manual_seed(0))
    low, high = torch.quantile(image.double(), torch.tensor([0.01, 0.99], dtype=torch.float64)).tolist()
    expected = image.double().clamp(low, high)
    expected = (expected - expected.mean()) / expected.std(unbiased=False)
    found = StandardizeIntensityd("image", percentiles=(1, 99))({"image": image})["image"]
    torch.testing.assert_close(found.double(), expected, atol=1e-6, rtol=1e-6)
    image[0, 0, 0, 0] = 1e6
    again = StandardizeIntensityd("image", percentiles=(1, 99))({"image": image})["image"]
    assert torch.allclose(again[0, 1:], found[0, 1:], atol=0.05)


def test_percentiles_of_a_large_volume_come_from_an_even_sample() -> None:
    image = torch.rand(1, 128, 128, 129, generator=torch.Generator().manual_seed(0))
    found = StandardizeIntensityd("image", percentiles=(10, 90))({"image": image})["image"]
    expected = image.clamp(0.1, 0.9)
    torch.testing.assert_close(found, (expected - 0.5) / expected.std(), atol=0.01, rtol=0.01)


@pytest.mark.parametrize("percentiles", [(5, 5), (-1, 99), (1, 101), (50,)])
def test_impossible_percentiles_are_refused(percentiles: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="percentiles must be two increasing numbers"):
        StandardizeIntensityd("image", percentiles=percentiles)
