from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from monai.metrics import (
    compute_average_surface_distance,
    compute_hausdorff_distance,
    compute_iou,
    compute_surface_dice,
)
from scipy import ndimage

from bundle.metrics import METRICS, case_metrics, structure_metrics

SPACING = (0.8, 1.0, 2.5)
SPACINGS = (SPACING, (1.0, 1.0, 1.0), (31.7, 0.3, 12.9))


def masks(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    fields = [ndimage.gaussian_filter(rng.normal(size=(14, 16, 10)), 2) for _ in range(2)]
    first = fields[0] > 0.02
    second = (fields[0] + 0.3 * fields[1]) > 0.02
    return torch.as_tensor(first), torch.as_tensor(second)


def surface(mask: np.ndarray) -> np.ndarray:
    return np.argwhere(mask & ~ndimage.binary_erosion(mask))


def directed_distances(source: np.ndarray, target: np.ndarray, spacing: Sequence[float]) -> np.ndarray:
    """All pairs, by brute force."""
    a, b = surface(source) * np.array(spacing), surface(target) * np.array(spacing)
    return np.sqrt(((a[:, None] - b[None]) ** 2).sum(-1)).min(1)


@pytest.mark.parametrize("spacing", SPACINGS, ids=str)
@pytest.mark.parametrize("seed", range(4))
def test_all_metrics_agree_with_brute_force_over_all_pairs_of_surface_voxels(
    seed: int, spacing: tuple[float, float, float]
) -> None:
    pred, label = masks(seed)
    p, g = pred.numpy(), label.numpy()
    forth, back = directed_distances(p, g, spacing), directed_distances(g, p, spacing)
    found = structure_metrics(pred, label, spacing, tolerance_mm=1.05)
    exact = {"rel": 0, "abs": 1e-12}
    assert found["dice"] == pytest.approx(2 * (p & g).sum() / (p.sum() + g.sum()), **exact)
    assert found["iou"] == pytest.approx((p & g).sum() / (p | g).sum(), **exact)
    assert found["voe"] == pytest.approx(1 - (p & g).sum() / (p | g).sum(), **exact)
    assert found["rvd"] == pytest.approx((p.sum() - g.sum()) / g.sum(), **exact)
    worst = max(np.percentile(forth, 95), np.percentile(back, 95))
    assert found["hd95_mm"] == pytest.approx(worst, rel=0, abs=1e-6)
    assert found["assd_mm"] == pytest.approx((forth.sum() + back.sum()) / (len(forth) + len(back)), rel=0, abs=1e-6)
    assert found["masd_mm"] == pytest.approx((forth.mean() + back.mean()) / 2, rel=0, abs=1e-6)
    assert found["nsd"] == pytest.approx(((forth <= 1.05).sum() + (back <= 1.05).sum()) / (len(forth) + len(back)))


@pytest.mark.parametrize("spacing", SPACINGS, ids=str)
def test_a_box_within_a_box_has_the_distances_of_its_walls(spacing: tuple[float, float, float]) -> None:
    """The inner box's surface is as far from the outer one as the nearest wall; the outer's is a clamped distance."""
    low, high, gap = np.array([2, 2, 2]), np.array([14, 12, 13]), np.array([2, 3, 1])
    outer = torch.zeros(17, 16, 15, dtype=torch.bool)
    inner = torch.zeros_like(outer)
    outer[tuple(slice(a, b + 1) for a, b in zip(low, high, strict=True))] = True
    inner[tuple(slice(a, b + 1) for a, b in zip(low + gap, high - gap, strict=True))] = True
    scale = np.array(spacing)
    inside = surface(inner.numpy())
    forth = (np.minimum(inside - low, high - inside) * scale).min(1)
    outside = surface(outer.numpy())
    beyond = np.maximum(np.maximum(low + gap - outside, outside - (high - gap)), 0)
    back = np.sqrt(((beyond * scale) ** 2).sum(1))
    found = structure_metrics(inner, outer, spacing)
    volumes = float(np.prod(high - low + 1 - 2 * gap)), float(np.prod(high - low + 1))
    assert found["dice"] == pytest.approx(2 * volumes[0] / sum(volumes), rel=0, abs=1e-12)
    assert found["iou"] == pytest.approx(volumes[0] / volumes[1], rel=0, abs=1e-12)
    assert found["rvd"] == pytest.approx(volumes[0] / volumes[1] - 1, rel=0, abs=1e-12)
    worst = max(np.percentile(forth, 95), np.percentile(back, 95))
    assert found["hd95_mm"] == pytest.approx(worst, rel=0, abs=1e-6)
    assert found["assd_mm"] == pytest.approx((forth.sum() + back.sum()) / (len(forth) + len(back)), rel=0, abs=1e-6)
    assert found["masd_mm"] == pytest.approx((forth.mean() + back.mean()) / 2, rel=0, abs=1e-6)


def test_balls_within_each_other_have_the_distances_of_their_radii() -> None:
    """Closed forms of spheres, up to the voxels that they are made of."""
    spacing = np.array([0.5, 0.8, 1.0])
    place = (np.indices((61, 39, 31)).reshape(3, -1).T - [30, 19, 15]) * spacing
    distance = torch.as_tensor(np.linalg.norm(place, axis=1).reshape(61, 39, 31))
    small, large = distance <= 9, distance <= 12
    found = structure_metrics(small, large, spacing.tolist(), tolerance_mm=1.0)
    assert found["dice"] == pytest.approx(2 * 9**3 / (9**3 + 12**3), abs=0.01)
    assert found["iou"] == pytest.approx((9 / 12) ** 3, abs=0.01)
    assert found["rvd"] == pytest.approx((9 / 12) ** 3 - 1, abs=0.01)
    assert found["assd_mm"] == pytest.approx(3.0, abs=0.3)
    assert found["hd95_mm"] == pytest.approx(3.0, abs=0.6)
    assert found["nsd"] == 0.0


def test_overlap_and_distances_agree_with_those_of_monai() -> None:
    pred, label = masks()
    found = structure_metrics(pred, label, SPACING, tolerance_mm=1.0)
    batch = pred[None, None].float(), label[None, None].float()
    options = {"include_background": True, "spacing": list(SPACING)}
    assert found["voe"] == pytest.approx(1 - float(compute_iou(*batch)), rel=1e-5)
    assert found["hd95_mm"] == pytest.approx(
        float(compute_hausdorff_distance(*batch, percentile=95, **options)), rel=1e-5
    )
    assert found["nsd"] == pytest.approx(
        float(compute_surface_dice(*batch, class_thresholds=[1.0], **options)), rel=1e-5
    )
    assert found["assd_mm"] == pytest.approx(
        float(compute_average_surface_distance(*batch, symmetric=True, **options)), rel=1e-5
    )


def test_a_perfect_prediction_has_the_best_value_of_every_metric() -> None:
    _, label = masks()
    best = {"dice": 1.0, "iou": 1.0, "hd95_mm": 0.0, "nsd": 1.0, "assd_mm": 0.0, "masd_mm": 0.0, "voe": 0.0, "rvd": 0.0}
    assert structure_metrics(label, label, SPACING) == best


def test_a_false_negative_is_not_a_perfect_one() -> None:
    _, label = masks()
    found = structure_metrics(torch.zeros_like(label), label, SPACING)
    assert (found["dice"], found["iou"], found["nsd"], found["voe"], found["rvd"]) == (0.0, 0.0, 0.0, 1.0, -1.0)
    assert math.isnan(found["hd95_mm"])
    assert math.isnan(found["assd_mm"])


def test_a_distance_can_be_scored_for_a_false_negative_or_positive() -> None:
    _, label = masks()
    empty = torch.zeros_like(label)
    for pair in ((empty, label), (label, empty)):
        found = structure_metrics(*pair, SPACING, unmatched_mm=373.13)
        assert list(found) == list(METRICS)
        assert (found["hd95_mm"], found["assd_mm"], found["masd_mm"]) == (373.13, 373.13, 373.13)
    assert math.isnan(structure_metrics(empty, empty, SPACING, unmatched_mm=373.13)["hd95_mm"])


def test_a_false_positive_has_no_relative_volume() -> None:
    pred, label = masks()
    found = structure_metrics(pred, torch.zeros_like(label), SPACING)
    assert found["dice"] == 0.0
    assert math.isnan(found["rvd"])


def test_nothing_is_defined_where_both_masks_are_empty() -> None:
    empty = torch.zeros(4, 4, 4, dtype=torch.bool)
    assert all(math.isnan(value) for value in structure_metrics(empty, empty, SPACING).values())


def test_a_shifted_cube_has_the_distances_of_the_shift() -> None:
    pred, label = torch.zeros(2, 20, 20, 20, dtype=torch.bool)
    label[5:10, 5:10, 5:10] = True
    pred[7:12, 5:10, 5:10] = True
    assert structure_metrics(pred, label, (1.5, 1, 1))["hd95_mm"] == pytest.approx(3.0)


def test_a_case_is_compared_structure_by_structure() -> None:
    label = torch.zeros(6, 6, 6, dtype=torch.uint8)
    label[:3], label[3:] = 1, 2
    pred = label.clone()
    pred[3:] = 0
    found = case_metrics(pred, label, {"a": 1, "b": 2}, (1, 1, 1))
    assert list(found) == ["a", "b"]
    assert set(found["a"]) == set(METRICS)
    assert (found["a"]["dice"], found["b"]["dice"]) == (1.0, 0.0)


def test_structures_may_overlap_as_several_label_values_or_as_masks_of_their_own() -> None:
    label = torch.zeros(6, 6, 6, dtype=torch.uint8)
    label[1:5], label[2:4], label[3] = 1, 2, 3
    pred = label.clone()
    pred[2] = 1
    regions = {"whole": [1, 2, 3], "core": [2, 3], "enhancing": 3}
    found = case_metrics(pred, label, regions, (1, 1, 1))
    assert [found[name]["dice"] for name in regions] == [1.0, pytest.approx(2 / 3), 1.0]
    channels = torch.stack([label >= 1, label >= 2, label >= 3]).float()
    assert case_metrics(pred, channels, regions, (1, 1, 1)) == found


def test_masks_must_be_as_many_as_the_structures() -> None:
    with pytest.raises(ValueError, match="2 masks do not fit the 1 structures a"):
        case_metrics(torch.zeros(2, 3, 3, 3), torch.zeros(3, 3, 3), {"a": 1}, (1, 1, 1))


def test_label_maps_of_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"prediction \(2, 2, 2\) and label \(2, 2, 3\) differ"):
        case_metrics(torch.zeros(2, 2, 2), torch.zeros(2, 2, 3), {"a": 1}, (1, 1, 1))


@pytest.mark.parametrize("size", [0.99999994, 1.0, 1.00000012])
def test_a_surface_at_the_tolerance_is_met_whatever_the_last_bit_of_the_voxel_size(size: float) -> None:
    label = torch.zeros(20, 20, 20, dtype=torch.bool)
    label[5:15, 5:15, 5:15] = True
    found = structure_metrics(label.roll(1, 0), label, [size, size, size], tolerance_mm=1.0)
    assert found["nsd"] == 1.0
    assert structure_metrics(label.roll(1, 0), label, [1.01, 1.0, 1.0], tolerance_mm=1.0)["nsd"] < 1.0


def test_voxels_that_the_label_map_ignores_do_not_count() -> None:
    generator = torch.Generator().manual_seed(0)
    pred, label = torch.randint(0, 3, (2, 6, 6, 6), generator=generator)
    names, spacing = {"a": 1, "both": [1, 2]}, [1.0, 1.0, 1.0]
    expected = case_metrics(pred[3:], label[3:], names, spacing)
    label[:3] = -1
    found = case_metrics(pred, label, names, spacing)
    for name, metrics in expected.items():
        for metric in ("dice", "iou", "voe", "rvd"):
            assert found[name][metric] == pytest.approx(metrics[metric])


def test_the_background_and_ignored_voxels_are_no_structures() -> None:
    label = torch.arange(4.0).reshape(1, 2, 2).repeat(2, 1, 1)
    names = {"background": 0, "a": 1, "b": 2, "ignore": 3}
    assert list(case_metrics(label, label, names, [1.0, 1.0, 1.0])) == ["a", "b"]
    with pytest.raises(ValueError, match=r"'all' has the values .0, 1., and 0 is the background"):
        case_metrics(label, label, {"all": [0, 1]}, [1.0, 1.0, 1.0])
