"""The original's metrics, against its formulas written out and MONAI's Hausdorff distance."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance

from bundle.legacy import ORIGINAL_SEGMENTATION_METRICS, original_segmentation_metrics


def masks() -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(3)
    pred, label = torch.zeros(2, 12, 13, 11, dtype=torch.bool)
    label[2:8, 3:9, 2:7] = True
    pred[3:10, 3:8, 2:9] = True
    pred &= torch.as_tensor(rng.random((12, 13, 11)) > 0.2)
    return pred, label


def test_overlaps_are_smoothed_as_there() -> None:
    pred, label = masks()
    p, g, both, either = (float(mask.sum()) for mask in (pred, label, pred & label, pred | label))
    found = original_segmentation_metrics(pred, label)
    assert list(found) == list(ORIGINAL_SEGMENTATION_METRICS)
    assert found["original_dice"] == pytest.approx((2 * both + 1e-5) / (p + g + 1e-5), rel=1e-12)
    assert found["original_iou"] == pytest.approx((both + 1e-5) / (either + 1e-5), rel=1e-12)
    assert found["original_voe"] == pytest.approx(1 - found["original_iou"], rel=1e-12)
    assert found["original_rvd"] == pytest.approx((p - g + 1e-5) / (g + 1e-5), rel=1e-12)


def test_distances_are_in_voxels_and_the_mean_of_two_means() -> None:
    pred, label = masks()
    pair = pred[None, None].float(), label[None, None].float()
    found = original_segmentation_metrics(pred, label)
    means = [float(compute_average_surface_distance(a, b, include_background=True)) for a, b in (pair, pair[::-1])]
    assert found["original_assd_voxels"] == pytest.approx(sum(means) / 2, rel=1e-6)
    hausdorff = float(compute_hausdorff_distance(*pair, include_background=True))
    assert found["original_hd_voxels"] == pytest.approx(hausdorff, rel=1e-6)


def test_a_missed_structure_is_no_perfect_one() -> None:
    _, label = masks()
    found = original_segmentation_metrics(torch.zeros_like(label), label)
    assert found["original_dice"] < 1e-6
    assert found["original_voe"] == pytest.approx(1)
    assert found["original_rvd"] == pytest.approx(-1)
    assert math.isnan(found["original_assd_voxels"])
    assert math.isnan(found["original_hd_voxels"])


def test_an_invented_structure_has_no_relative_volume() -> None:
    _, label = masks()
    found = original_segmentation_metrics(label, torch.zeros_like(label))
    assert math.isnan(found["original_rvd"])
    assert math.isnan(found["original_assd_voxels"])


def test_what_both_masks_lack_counts_as_found() -> None:
    empty = torch.zeros(3, 3, 3, dtype=torch.bool)
    assert original_segmentation_metrics(empty, empty)["original_dice"] == 1.0
