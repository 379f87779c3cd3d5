from __future__ import annotations

import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import NormalizeIntensityd

from bundle.transforms import NormalizeContentd, StandardizeIntensityd


def normalized(image: torch.Tensor) -> torch.Tensor:
    return NormalizeContentd("image")({"image": image})["image"]


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


@pytest.mark.parametrize("pad", [1, 5, 20])
@pytest.mark.parametrize("value", [0.0, -3000.0, 9000.0])
@pytest.mark.parametrize("percentiles", [None, (1, 99)])
def test_a_constant_border_does_not_change_the_intensities_of_the_content(
    pad: int, value: float, percentiles: tuple[float, float] | None
) -> None:
    image = 1000 + 150 * torch.randn(1, 34, 21, 18, generator=torch.Generator().manual_seed(0))
    padded = torch.nn.functional.pad(image, [pad] * 6, value=value)
    transform = StandardizeIntensityd("image", percentiles=percentiles)
    wanted, found = (transform({"image": values})["image"] for values in (image, padded))
    assert torch.equal(found[:, pad:-pad, pad:-pad, pad:-pad], wanted)
    assert torch.equal(normalized(padded)[:, pad:-pad, pad:-pad, pad:-pad], normalized(image))


def test_a_masked_image_has_the_intensities_of_the_masked_part() -> None:
    place = torch.stack(torch.meshgrid(*[torch.linspace(-1, 1, 30)] * 3, indexing="ij"))
    inside = place.square().sum(0) < 1
    image = torch.where(inside, 1000 + 150 * torch.randn(30, 30, 30, generator=torch.Generator().manual_seed(0)), 0)[
        None
    ]
    for found in (StandardizeIntensityd("image")({"image": image})["image"], normalized(image)):
        tissue = found[0, inside]
        assert tissue.mean().abs() < 1e-5
        assert tissue.std(unbiased=False) == pytest.approx(1, abs=1e-5)


def test_what_was_excluded_is_a_remark_after_those_of_the_loader() -> None:
    image = torch.nn.functional.pad(torch.randn(1, 8, 8, 8), (0, 0, 0, 0, 8, 0))
    for transform in (StandardizeIntensityd("image"), NormalizeContentd("image")):
        for given, prefix in ({}, ""), ({"remarks": "first"}, "first; "):
            meta = transform({"image": MetaTensor(image, meta=given)})["image"].meta
            assert meta["remarks"] == (
                f"{prefix}a constant border, 50.0% of the image, does not count in the intensity statistics"
            )
    assert "remarks" not in StandardizeIntensityd("image")({"image": MetaTensor(image[:, 8:])})["image"].meta


def test_the_border_counts_where_a_network_was_trained_so() -> None:
    image = torch.nn.functional.pad(torch.randn(1, 8, 8, 8), [3] * 6)
    found = StandardizeIntensityd("image", exclude_border=False)({"image": image})["image"]
    torch.testing.assert_close(found, NormalizeIntensityd("image")({"image": image})["image"], atol=1e-5, rtol=1e-5)


def test_clipping_never_makes_an_image_constant_that_is_not() -> None:
    image = torch.zeros(1, 20, 20, 20)
    image[0, 0, 0, 0] = image[0, 19, 19, 19] = image[0, 10, 10, 10] = 5.0
    image[0, :3] += torch.arange(20.0)[None, None] / 100
    image = torch.where(image.abs() > 4.9, image, 0)
    found = StandardizeIntensityd("image", percentiles=(1, 99), exclude_border=False)({"image": MetaTensor(image)})
    assert found["image"].std() > 0
    assert found["image"].meta["remarks"] == "not clipped, as more than 1 % of all voxels are equal"


@pytest.mark.parametrize("shape", [(3, 20, 24), (1, 9, 8, 7)])
def test_channels_without_a_border_have_the_numbers_of_monai_bit_by_bit(shape: tuple[int, ...]) -> None:
    image = 255 * torch.rand(shape, generator=torch.Generator().manual_seed(0))
    wanted = NormalizeIntensityd("image", channel_wise=True)({"image": image.clone()})["image"]
    assert torch.equal(normalized(image), wanted)


def test_bars_that_hardly_change_the_statistics_count_on_request() -> None:
    generator = torch.Generator().manual_seed(0)
    image = 170 + 40 * torch.randn(3, 40, 50, generator=generator)
    for value, counts in ((200.0, True), (0.0, False)):
        framed = torch.nn.functional.pad(image, (0, 0, 5, 5), value=value)
        plain = NormalizeIntensityd("image", channel_wise=True)({"image": framed.clone()})["image"]
        found = NormalizeContentd("image", tolerance=0.35)({"image": framed})["image"]
        assert torch.equal(found, plain) == counts
        assert not torch.equal(normalized(framed), plain)
    with pytest.raises(ValueError, match="tolerance must be 0 or more"):
        NormalizeContentd("image", tolerance=-1)


def test_the_statistics_are_those_that_are_used() -> None:
    image = torch.rand(2, 8, 9, 10) * 50
    used = StandardizeIntensityd("image", percentiles=[5, 95]).statistics(image)
    found = ((image.double().clamp(*used.limits) - used.mean) * used.scale).float()
    assert torch.equal(found, StandardizeIntensityd("image", percentiles=[5, 95])({"image": image})["image"])
    mean, deviation = NormalizeContentd("image").statistics(image)
    normal = (image - torch.tensor(mean).view(2, 1, 1, 1)) / torch.tensor(deviation).view(2, 1, 1, 1)
    torch.testing.assert_close(normal, normalized(image).float(), rtol=0, atol=1e-5)
