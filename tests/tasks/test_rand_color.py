"""RandColord changes colors by the definitions of brightness, contrast, saturation and hue."""

from __future__ import annotations

import colorsys

import pytest
import torch
from monai.data import MetaTensor

from bundle.tasks.images import RandColord
from bundle.tasks.images.rand_color import LUMA, change_colors

IMAGE = torch.rand(3, 6, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 0.5 + 0.25


def luma(image: torch.Tensor) -> torch.Tensor:
    return (image * torch.tensor(LUMA, dtype=torch.float64)[:, None, None]).sum(0)


def test_nothing_changes_an_image_by_factors_of_one() -> None:
    torch.testing.assert_close(change_colors(IMAGE, 1, 1, 1, 0), IMAGE)


def test_each_change_is_that_of_its_definition() -> None:
    torch.testing.assert_close(change_colors(IMAGE, 1.2, 1, 1, 0), IMAGE * 1.2)
    mean = luma(IMAGE).mean()
    torch.testing.assert_close(change_colors(IMAGE, 1, 0.7, 1, 0), mean + 0.7 * (IMAGE - mean))
    gray = luma(IMAGE)[None]
    torch.testing.assert_close(change_colors(IMAGE, 1, 1, 0.6, 0), gray + 0.6 * (IMAGE - gray))
    torch.testing.assert_close(change_colors(IMAGE, 1, 1, 0, 0), gray.expand(3, -1, -1))


def test_all_changes_at_once_equal_one_after_the_other() -> None:
    image = IMAGE * 0.5 + 0.2
    expected = change_colors(image, 1.1, 1, 1, 0)
    for step in ((1, 0.9, 1, 0), (1, 1, 0.8, 0), (1, 1, 1, 20)):
        expected = change_colors(expected, *step)
    # saturation keeps the mean luma; the hue, which does not, comes last
    torch.testing.assert_close(change_colors(image, 1.1, 0.9, 0.8, 20), expected)


@pytest.mark.parametrize("degrees", [120, 240, -120])
def test_a_third_of_a_turn_exchanges_the_channels(degrees: int) -> None:
    turned = change_colors(IMAGE, 1, 1, 1, degrees)
    torch.testing.assert_close(turned, IMAGE.roll(degrees // 120, 0))
    red, _, _ = colorsys.rgb_to_hsv(0.6, 0.4, 0.4)
    hue, _, _ = colorsys.rgb_to_hsv(
        *change_colors(torch.tensor([0.6, 0.4, 0.4])[:, None, None], 1, 1, 1, degrees).flatten().tolist()
    )
    assert hue == pytest.approx((red + degrees / 360) % 1, abs=1e-5)


def test_gray_keeps_its_color_whatever_the_hue_and_saturation() -> None:
    gray = torch.full((3, 2, 2), 0.4)
    torch.testing.assert_close(change_colors(gray, 1, 1, 0.3, 77), gray)


def test_values_stay_between_0_and_1() -> None:
    changed = change_colors(IMAGE, 1.9, 1.9, 1.9, 90)
    assert 0 <= float(changed.min()) < float(changed.max()) <= 1


def test_the_same_seed_draws_the_same_change_for_all_keys() -> None:
    data = {"a": MetaTensor(IMAGE), "b": IMAGE.clone()}
    first, again = (RandColord(["a", "b"], prob=1.0).set_random_state(4)(data) for _ in range(2))
    other = RandColord(["a", "b"], prob=1.0).set_random_state(5)(data)
    assert isinstance(first["a"], MetaTensor)
    assert torch.equal(first["a"].as_tensor(), first["b"])
    assert torch.equal(first["b"], again["b"])
    assert not torch.equal(first["b"], other["b"])
    assert torch.equal(data["b"], IMAGE)


def test_no_change_is_made_where_none_is_drawn() -> None:
    assert RandColord("a", prob=0.0)({"a": IMAGE})["a"] is IMAGE


def test_numbers_out_of_range_and_other_channels_are_refused() -> None:
    for options in ({"brightness": 1.0}, {"contrast": -0.1}, {"saturation": 2}, {"hue": 181}):
        with pytest.raises(ValueError, match=r"must lie in \[0, 1\)"):
            RandColord("a", **options)
    with pytest.raises(ValueError, match=r"need images \(3, H, W\)"):
        RandColord("a", prob=1.0)({"a": IMAGE[:1]})
