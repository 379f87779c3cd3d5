from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from helpers.phantoms import meta_tensor, rotation
from monai.data import MetaTensor, decollate_batch, list_data_collate

from bundle.tasks.spine.sagittal_slab import RandSagittalSlabd, SagittalSlabd, SagittalSlabsd, slab_affines

SPACING = (4.0, 1.5, 1.5)


def affine_of(spacing: tuple[float, ...] = SPACING, turn: float = 0.0) -> np.ndarray:
    affine = rotation(0, turn, turn / 2) @ np.diag([*spacing, 1.0])
    affine[:3, 3] = -20, 30, 7
    return affine


def ramp(slices: int = 13, spacing: tuple[float, ...] = SPACING, turn: float = 0.0) -> MetaTensor:
    """Return a volume whose intensity is the place along R in mm, from the first slice."""
    values = torch.arange(slices, dtype=torch.float32).reshape(1, -1, 1, 1) * spacing[0]
    return meta_tensor(values.expand(1, slices, 6, 7).contiguous(), affine_of(spacing, turn))


def points_at(image: MetaTensor, *slices: float) -> np.ndarray:
    """Return points whose places along the first axis are given."""
    indices = np.array([[place, 2.0, 3.0, 1.0] for place in slices])
    world = indices @ np.asarray(image.affine).T
    return np.column_stack([np.arange(3, 3 + len(slices)), world[:, :3]])


def place_of(slab: MetaTensor, image: MetaTensor) -> float:
    """Return the position of a slab by its affine, in mm along the first axis of its volume."""
    origin = np.linalg.inv(np.asarray(image.affine)) @ np.asarray(slab.affine)[:, 3]
    return float(origin[0] * SPACING[0])


@pytest.mark.parametrize("turn", [0.0, 12.0])
@pytest.mark.parametrize("offset", [-10.0, -1.3, 0.0, 2.0, 5.2])
@pytest.mark.parametrize("thickness", [4.0, 6.0, 9.5])
def test_intensity_and_affine_give_the_same_position(turn: float, offset: float, thickness: float) -> None:
    image = ramp(turn=turn)
    slab = SagittalSlabd("image", thickness=thickness, center="points", offset=offset)(
        {"image": image, "points": points_at(image, 4.0, 6.0, 11.0)}
    )["image"]
    assert slab.shape == (1, 1, 6, 7)
    assert place_of(slab, image) == pytest.approx(24.0 + offset)
    assert float(slab.mean()) == pytest.approx(24.0 + offset, abs=2.0)
    steps = np.linalg.norm(np.asarray(slab.affine)[:3, :3], axis=0)
    assert steps == pytest.approx([thickness, 1.5, 1.5])


def brute_band(values: np.ndarray, step: float, low: float, high: float) -> np.ndarray:
    """Average fine samples of a band in mm, slices being constant over their thickness."""
    samples = np.linspace(low, high, 20001)[:-1] + (high - low) / 40000
    slices = np.floor(samples / step + 0.5).astype(int)
    return values[slices[(slices >= 0) & (slices < len(values))]].mean(0)


@pytest.mark.parametrize("center", [0.0, 3.3, 10.9, 24.0, 48.0])
@pytest.mark.parametrize("thickness", [1.0, 6.0, 17.0])
def test_slices_count_by_their_overlap_with_the_band(center: float, thickness: float) -> None:
    values = np.random.default_rng(0).normal(size=(13, 5, 6))
    image = meta_tensor(torch.as_tensor(values[None]), affine_of())
    slab = SagittalSlabd("image", thickness=thickness, center="points")(
        {"image": image, "points": points_at(image, center / 4)}
    )["image"]
    expected = brute_band(values, 4.0, center - thickness / 2, center + thickness / 2)
    np.testing.assert_allclose(slab[0, 0], expected, atol=2e-3)


@pytest.mark.parametrize(("offset", "place"), [(-100.0, 0.5), (100.0, 47.5)])
def test_a_band_outside_the_volume_is_moved_to_its_border(offset: float, place: float) -> None:
    image = ramp()
    slab = SagittalSlabd("image", center="points", offset=offset)({"image": image, "points": points_at(image, 6.0)})
    assert place_of(slab["image"], image) == pytest.approx(place)
    assert slab["image"].isfinite().all()


def symmetric(middle: int = 5, slices: int = 13) -> MetaTensor:
    half = torch.randn(slices, 40, 50, generator=torch.Generator().manual_seed(0))
    volume = half[(torch.arange(slices) - middle).abs()]
    return meta_tensor(volume[None], affine_of((4.0, 6.0, 6.0)))


@pytest.mark.parametrize("points", [None, np.empty((0, 4)), np.full((1, 4), np.nan)])
def test_without_points_the_plane_of_symmetry_counts(points: np.ndarray | None) -> None:
    image = symmetric(4)
    case = {"image": image} if points is None else {"image": image, "points": points}
    by_points = SagittalSlabd("image", center="points")(case)["image"]
    by_symmetry = SagittalSlabd("image")({"image": image, "points": points_at(image, 9.0)})["image"]
    assert place_of(by_points, image) == place_of(by_symmetry, image) == pytest.approx(16.0)


def test_the_volume_is_not_touched_and_its_metadata_stays() -> None:
    image = symmetric()
    image.meta["filename_or_obj"] = "a.nii.gz"
    before, affine = image.clone(), image.affine.clone()
    for transform in (SagittalSlabd("image"), RandSagittalSlabd("image"), SagittalSlabsd("image")):
        slab = transform({"image": image, "other": 1})
        assert slab["other"] == 1
        assert slab["image"].meta["filename_or_obj"] == "a.nii.gz"
    assert torch.equal(image, before)
    assert torch.equal(image.affine, affine)
    assert "slab_positions_mm" not in image.meta


def test_random_slabs_spread_about_the_points_and_follow_the_seed() -> None:
    image = ramp(slices=51, spacing=(4.0, 1.5, 1.5))
    case = {"image": image, "points": points_at(image, 25.0)}
    transform = RandSagittalSlabd("image", sd=5.0)
    transform.set_random_state(0)
    places = np.array([place_of(transform(case)["image"], image) for _ in range(300)])
    assert places.mean() == pytest.approx(100.0, abs=1.0)
    assert places.std() == pytest.approx(5.0, rel=0.1)
    transform.set_random_state(0)
    assert place_of(transform(case)["image"], image) == places[0]


def test_several_slabs_are_single_slabs_at_their_offsets() -> None:
    image = symmetric(6)
    offsets = [-12.0, -6.0, 0.0, 6.0, 12.0]
    slabs = SagittalSlabsd("image", thickness=5.0, offsets=offsets)({"image": image})["image"]
    assert slabs.shape == (5, 1, 40, 50)
    assert slabs.meta["slab_positions_mm"].tolist() == pytest.approx(offsets)
    for slab, affine, offset in zip(slabs, slab_affines(slabs), offsets, strict=True):
        single = SagittalSlabd("image", thickness=5.0, offset=offset)({"image": image})["image"]
        torch.testing.assert_close(slab.as_tensor(), single[0].as_tensor())
        np.testing.assert_allclose(affine, single.affine)


def test_slabs_outside_a_thin_volume_are_skipped_except_one() -> None:
    image = symmetric(2, slices=5)
    slabs = SagittalSlabsd("image", offsets=[-40.0, -4.0, 4.0, 40.0])({"image": image})["image"]
    assert slabs.meta["slab_positions_mm"].tolist() == pytest.approx([-4.0, 4.0])
    far = SagittalSlabsd("image", offsets=[-40.0, 40.0])({"image": image})["image"]
    assert far.meta["slab_positions_mm"].tolist() == pytest.approx([0.0])


def test_places_of_slabs_survive_a_batch() -> None:
    slabs = SagittalSlabsd("image")({"image": symmetric()})
    batch = list_data_collate([slabs])
    assert batch["image"].shape == (1, 7, 1, 40, 50)
    again = decollate_batch(batch)[0]["image"]
    np.testing.assert_array_equal(slab_affines(again), slab_affines(slabs["image"]))


def test_a_missing_key_is_passed_over_on_request() -> None:
    for transform in (SagittalSlabd, RandSagittalSlabd, SagittalSlabsd):
        assert transform("image", allow_missing_keys=True)({}) == {}


@pytest.mark.parametrize(
    ("transform", "options", "message"),
    [
        (SagittalSlabd, {"thickness": 0.0}, "thickness must be a positive number of mm"),
        (SagittalSlabd, {"center": "heart"}, "center must be one of symmetry, points, got 'heart'"),
        (RandSagittalSlabd, {"sd": -1.0}, "sd must be 0 or more mm"),
        (SagittalSlabsd, {"thickness": -1.0}, "needs a positive thickness and one or more offsets"),
        (SagittalSlabsd, {"offsets": []}, "needs a positive thickness and one or more offsets"),
    ],
)
def test_impossible_options_are_refused(transform: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        transform("image", **options)
