from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from monai.metrics import compute_hausdorff_distance, compute_iou, compute_surface_dice
from scipy import ndimage

from bundle.metrics import METRICS, case_metrics, structure_metrics

SPACING = (0.8, 1.0, 2.5)


def masks(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    fields = [ndimage.gaussian_filter(rng.normal(size=(14, 16, 10)), 2) for _ in range(2)]
    first = fields[0] > 0.02
    second = (fields[0] + 0.3 * fields[1]) > 0.02
    return torch.as_tensor(first), torch.as_tensor(second)


def surface(mask: np.ndarray) -> np.ndarray:
    return np.argwhere(mask & ~ndimage.binary_erosion(mask))


def directed_distances(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """All pairs, by brute force."""
    a, b = surface(source) * np.array(SPACING), surface(target) * np.array(SPACING)
    return np.sqrt(((a[:, None] - b[None]) ** 2).sum(-1)).min(1)


@pytest.mark.parametrize("seed", range(4))
def test_all_metrics_agree_with_brute_force_over_all_pairs_of_surface_voxels(seed: int) -> None:
    pred, label = masks(seed)
    p, g = pred.numpy(), label.numpy()
    forth, back = directed_distances(p, g), directed_distances(g, p)
    found = structure_metrics(pred, label, SPACING, tolerance_mm=1.0)
    assert found["dice"] == pytest.approx(2 * (p & g).sum() / (p.sum() + g.sum()))
    assert found["voe"] == pytest.approx(1 - (p & g).sum() / (p | g).sum())
    assert found["rvd"] == pytest.approx((p.sum() - g.sum()) / g.sum())
    assert found["hd95_mm"] == pytest.approx(max(np.percentile(forth, 95), np.percentile(back, 95)), rel=1e-5)
    assert found["assd_mm"] == pytest.approx((forth.mean() + back.mean()) / 2, rel=1e-5)
    assert found["nsd"] == pytest.approx(((forth <= 1).sum() + (back <= 1).sum()) / (len(forth) + len(back)))


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


def test_a_perfect_prediction_has_the_best_value_of_every_metric() -> None:
    _, label = masks()
    expected = {"dice": 1.0, "hd95_mm": 0.0, "nsd": 1.0, "assd_mm": 0.0, "voe": 0.0, "rvd": 0.0}
    assert structure_metrics(label, label, SPACING) == expected


def test_a_missed_structure_is_no_perfect_one() -> None:
    _, label = masks()
    found = structure_metrics(torch.zeros_like(label), label, SPACING)
    assert (found["dice"], found["nsd"], found["voe"], found["rvd"]) == (0.0, 0.0, 1.0, -1.0)
    assert math.isnan(found["hd95_mm"])
    assert math.isnan(found["assd_mm"])


def test_an_invented_structure_has_no_relative_volume() -> None:
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


def test_label_maps_of_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"prediction \(2, 2, 2\) and label \(2, 2, 3\) differ"):
        case_metrics(torch.zeros(2, 2, 2), torch.zeros(2, 2, 3), {"a": 1}, (1, 1, 1))
