"""Discs from the heat maps of slabs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.phantoms import rotation
from monai.data import MetaTensor

from bundle.tasks.spine import DecodeDiscsd
from bundle.tasks.spine.discs import SkeletonPrior, make_heatmaps
from bundle.tasks.spine.sagittal_slab import SLAB_POSITIONS

LEVELS = (20, 21, 22, 23, 24, 25)
SPACING = 1.5
ORIGIN = np.array([-2.0, -80.0, -310.0])


@pytest.fixture
def skeleton() -> SkeletonPrior:
    """Discs 30 mm below each other, in an arc."""
    means = np.array([[0.1 * (value - 22) ** 2, -30.0 * (value - 20)] for value in LEVELS])
    return SkeletonPrior(LEVELS, means, np.full((6, 2), 5.0), (9,) * 6, "an arc")


def spine(skeleton: SkeletonPrior, lateral: float = 0.0) -> dict[int, np.ndarray]:
    """Return the true places of discs 21 to 25 in mm, off the plane of the slabs by ``lateral``."""
    return {
        value: np.array([ORIGIN[0] + lateral, *(ORIGIN[1:] + [60.0, 190.0] + skeleton.means[row])])
        for row, value in enumerate(LEVELS)
        if value > 20
    }


def slabs_of(places: dict[int, np.ndarray], positions: list[float], levels: tuple[int, ...] = LEVELS) -> dict:
    """Return slabs and the maps that a perfect network would give for them."""
    affine = np.diag([6.0, SPACING, SPACING, 1.0])
    affine[:3, 3] = ORIGIN
    pixels = np.full((len(levels), 2), np.nan)
    lateral = np.zeros(len(levels))
    for value, place in places.items():
        pixels[levels.index(value)] = (place[1:] - ORIGIN[1:]) / SPACING
        lateral[levels.index(value)] = place[0] - ORIGIN[0]
    maps = [
        make_heatmaps(pixels, (24, 40), sigma=4, stride=4, amplitude=np.exp(-(((lateral - place) / 8) ** 2) / 2))
        for place in positions
    ]
    image = MetaTensor(torch.zeros(len(positions), 1, 96, 160), affine=torch.as_tensor(affine))
    image.meta[SLAB_POSITIONS] = torch.tensor(positions)
    return {"image": image, "pred": torch.stack(maps)}


def test_perfect_maps_give_every_disc_in_its_place(skeleton: SkeletonPrior) -> None:
    places = spine(skeleton)
    found = DecodeDiscsd("pred", skeleton=skeleton, first_level=20)(slabs_of(places, [-6.0, 0.0, 6.0]))["discs"]
    assert [disc.value for disc in found] == [21, 22, 23, 24, 25]
    for disc in found:
        np.testing.assert_allclose(disc.position, places[disc.value], atol=0.3)
        assert disc.confidence > 0.8


def test_a_disc_next_to_the_plane_is_placed_between_left_and_right(skeleton: SkeletonPrior) -> None:
    places = spine(skeleton, lateral=6.0)
    positions = [-12.0, -6.0, 0.0, 6.0, 12.0]
    found = DecodeDiscsd("pred", skeleton=skeleton, first_level=20)(slabs_of(places, positions))["discs"]
    assert all(abs(disc.position[0] - (ORIGIN[0] + 6.0)) < 1.5 for disc in found)


def test_a_second_response_off_the_spine_is_not_chosen(skeleton: SkeletonPrior) -> None:
    places = spine(skeleton)
    case = slabs_of(places, [0.0])
    stray = np.full((6, 2), np.nan)
    stray[2] = [5.0, 150.0]
    case["pred"] += 0.9 * make_heatmaps(stray, (24, 40), sigma=4, stride=4)
    found = {disc.value: disc for disc in DecodeDiscsd("pred", skeleton=skeleton, first_level=20)(case)["discs"]}
    np.testing.assert_allclose(found[22].position, places[22], atol=0.3)


def test_the_orientation_of_the_slabs_in_the_world_has_no_influence_on_the_levels(skeleton: SkeletonPrior) -> None:
    """An oblique scan: the same voxels, turned by angles at which the skeleton would fit another level."""
    places = spine(skeleton)
    case = slabs_of(places, [0.0])
    case["pred"] = case["pred"] * 0.6 + case["pred"].roll(1, dims=1) * 0.5
    decode = DecodeDiscsd("pred", skeleton=skeleton, first_level=20)
    upright = decode(case)["discs"]
    motion = rotation(25, 10, -15)
    motion[:3, 3] = 300, -200, 900
    case["image"].affine = torch.as_tensor(motion) @ case["image"].affine
    turned = decode(case)["discs"]
    assert [disc.value for disc in turned] == [disc.value for disc in upright]
    expected = [(motion @ np.append(disc.position, 1))[:3] for disc in upright]
    np.testing.assert_allclose([disc.position for disc in turned], expected, atol=1e-6)


def test_maps_without_a_response_give_no_disc(skeleton: SkeletonPrior) -> None:
    assert DecodeDiscsd("pred", skeleton=skeleton, first_level=20)(slabs_of({}, [0.0]))["discs"] == []


def test_a_missing_key_may_be_allowed(skeleton: SkeletonPrior) -> None:
    assert DecodeDiscsd("pred", skeleton=skeleton, allow_missing_keys=True)({"a": 1}) == {"a": 1}


def test_uncertainty_about_the_level_does_not_move_a_disc(skeleton: SkeletonPrior) -> None:
    """Every disc but the first has half of its response on the level above, so a level responds at two discs."""
    means = skeleton.means * [1.0, 0.6]
    close = SkeletonPrior(LEVELS, means, skeleton.spread, skeleton.counts, "discs 18 mm below each other")
    places = {
        value: np.array([ORIGIN[0], *(ORIGIN[1:] + [60.0, 190.0] + means[row])]) for row, value in enumerate(LEVELS)
    }
    data = slabs_of(places, [0.0])
    clear = data["pred"].clone()
    level, next_level = (torch.tensor(share)[:, None, None] for share in ([1.0] + [0.55] * 5, [0.45] * 5 + [0.0]))
    data["pred"] = clear * level + torch.roll(clear, -1, dims=1) * next_level
    options = {"skeleton": close, "first_level": 20}
    moved = DecodeDiscsd("pred", **options)(data)["discs"]
    kept = DecodeDiscsd("pred", snap_mm=0, **options)(data)["discs"]
    assert [disc.value for disc in moved] == list(LEVELS)
    errors = {
        way: [np.linalg.norm(disc.position - places[disc.value]) for disc in discs]
        for way, discs in (("moved", moved), ("kept", kept))
    }
    assert max(errors["moved"]) < 0.5
    assert max(errors["kept"]) > 0.7


def test_the_certainty_of_the_numbering_is_added(skeleton: SkeletonPrior) -> None:
    data = DecodeDiscsd("pred", skeleton=skeleton, first_level=20)(slabs_of(spine(skeleton), [0.0]))
    assert data["numbering"].status == "certain"
    assert DecodeDiscsd("pred", skeleton=skeleton, first_level=20)(slabs_of({}, [0.0]))["numbering"] is None


def test_impossible_numbers_of_vertebrae_are_refused(skeleton: SkeletonPrior) -> None:
    with pytest.raises(ValueError, match="4 to 6 lumbar ones, got 12, 3"):
        DecodeDiscsd("pred", skeleton=skeleton, lumbar_vertebrae=3)


def test_a_part_that_is_off_by_one_level_is_corrected_by_its_gap(skeleton: SkeletonPrior) -> None:
    """The upper discs respond on the channel above theirs, so the levels would skip one over a gap of one disc."""
    places = spine(skeleton)
    case = slabs_of(places, [0.0])
    maps = case["pred"].clone()
    case["pred"][:, :3] = 0.3 * maps[:, :3] + 0.7 * maps[:, 1:4]
    case["pred"][:, 3] *= 0.3
    with_gaps = replace(skeleton, gap_spread=np.ones(5))
    found = DecodeDiscsd("pred", skeleton=with_gaps, first_level=20)(case)["discs"]
    assert [disc.value for disc in found] == [21, 22, 23, 24, 25]
    for disc in found:
        np.testing.assert_allclose(disc.position, places[disc.value], atol=0.5)


@pytest.mark.parametrize("is_stated", [True, False])
def test_the_discs_of_a_sixth_lumbar_vertebra_are_named_and_the_additional_one_is_found(
    skeleton: SkeletonPrior, is_stated: bool
) -> None:
    """The network responds to the disc above the sacrum as L5-S1, and to the additional one weakly, as L4-L5."""
    skeleton = replace(skeleton, gap_spread=np.full(5, 3.0))
    places = spine(skeleton.with_counts(lumbar=6))
    data = slabs_of(places, [0.0])
    middle = {24: (places[24] + places[25]) / 2}
    data["pred"] = torch.maximum(data["pred"], 0.6 * slabs_of(middle, [0.0])["pred"])
    options = {"lumbar_vertebrae": 6} if is_stated else {}
    made = DecodeDiscsd("pred", skeleton=skeleton, first_level=20, **options)(data)
    assert [disc.name for disc in made["discs"]] == ["L1-L2", "L2-L3", "L3-L4", "L4-L5", "L5-L6", "L6-S1"]
    np.testing.assert_allclose(made["discs"][4].position, middle[24], atol=0.5)
    assert made["discs"][4].confidence == pytest.approx(0.6, abs=0.05)
    data["pred"] = slabs_of(places, [0.0])["pred"]
    made = DecodeDiscsd("pred", skeleton=skeleton, first_level=20, **options)(data)
    assert [disc.name for disc in made["discs"]] == ["L1-L2", "L2-L3", "L3-L4", "L4-L5", "L6-S1"]


@pytest.mark.parametrize(("responses", "level"), [((0.3, 0.34, 0.3), 23), ((0.1, 0.15, 0.1), None)])
def test_a_disc_that_several_levels_respond_to_weakly_is_found(
    skeleton: SkeletonPrior, responses: tuple[float, ...], level: int | None
) -> None:
    """No level reaches the threshold, but in a small image, their sum shows a disc of the level that responds most."""
    place = spine(skeleton)[23]
    maps = [
        value * slabs_of({number: place}, [0.0])["pred"] for number, value in zip((22, 23, 24), responses, strict=True)
    ]
    data = slabs_of({}, [0.0]) | {"pred": sum(maps)}
    decode = DecodeDiscsd("pred", skeleton=skeleton, first_level=20)
    assert decode(data)["discs"] == []
    data["pred"], first = data["pred"][..., 15:25], 60
    data["image"].affine[2, 3] += first * SPACING
    made = decode(data)
    assert [disc.value for disc in made["discs"]] == ([] if level is None else [level])
    for disc in made["discs"]:
        np.testing.assert_allclose(disc.position[1:], place[1:], atol=0.5)
        assert disc.confidence == pytest.approx(max(responses), abs=0.05)
        assert made["numbering"].status == "uncertain"
