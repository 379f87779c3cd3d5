"""The content of an image is found whatever the value and the sides of its border."""

from __future__ import annotations

import pytest
import torch
from helpers.phantoms import noise

from bundle.grid.constant_border import find_content

TISSUE = torch.as_tensor(noise((1, 12, 14, 10)))


@pytest.mark.parametrize("value", [0.0, -1024.0, 3.7])
@pytest.mark.parametrize("pad", [(1, 1, 1, 1, 1, 1), (0, 0, 0, 0, 5, 0), (0, 7, 2, 0, 0, 0), (30, 20, 3, 4, 9, 9)])
def test_padding_of_any_value_at_any_side_is_not_content(value: float, pad: tuple[int, ...]) -> None:
    padded = torch.nn.functional.pad(TISSUE, pad, value=value)
    content = find_content(padded)
    assert torch.equal(content.values, TISSUE)
    assert content.share == TISSUE.numel() / padded.numel()


def test_an_image_without_a_border_is_all_content() -> None:
    for image in (TISSUE, torch.arange(6.0)[None], TISSUE[:, :1]):
        content = find_content(image)
        assert content.values.shape == image.shape
        assert content.share == 1


def test_a_constant_image_is_all_content() -> None:
    image = torch.full((2, 5, 6, 7), 3.0)
    assert find_content(image).values is image


def test_rounding_in_the_border_does_not_hide_it() -> None:
    padded = torch.nn.functional.pad(TISSUE, [4] * 6, value=0.7)
    padded[0, 0, ::2] = torch.nextafter(torch.tensor(0.7), torch.tensor(1.0))
    assert torch.equal(find_content(padded).values, TISSUE)


def test_every_channel_has_its_own_value_in_the_border_and_all_must_be_constant() -> None:
    image = torch.randint(0, 200, (3, 20, 22), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    framed = torch.stack(
        [torch.nn.functional.pad(channel, [3] * 4, value=80 + 5 * i) for i, channel in enumerate(image)]
    )
    assert torch.equal(find_content(framed).values, image)
    framed[1] = image[0].repeat(2, 2)[: framed.shape[1], : framed.shape[2]]
    assert find_content(framed).share == 1


@pytest.mark.parametrize("outside", [0.0, -5.0])
def test_the_surroundings_of_a_masked_image_are_not_content(outside: float) -> None:
    place = torch.stack(torch.meshgrid(*[torch.linspace(-1, 1, 20)] * 3, indexing="ij"))
    inside = place.square().sum(0) < 1
    image = torch.as_tensor(noise((2, 20, 20, 20)))
    image[:, ~inside] = outside
    padded = torch.nn.functional.pad(image, [6] * 6, value=outside)
    content = find_content(padded)
    assert content.values.shape == (2, int(inside.sum()))
    assert torch.equal(content.values, image[:, inside])


def test_air_beside_tissue_that_reaches_the_faces_is_content() -> None:
    image = TISSUE.clone()
    image[:, :6] = 0
    image[:, 0, 0, 0] = 1
    assert find_content(image).share == 1


def test_a_border_within_a_masked_image_that_leaves_nothing_is_kept() -> None:
    image = torch.zeros(1, 6, 6, 6)
    image[0, 0, 0, 0] = image[0, 5, 5, 5] = 1e-9
    assert find_content(image).share == 2 / 216
