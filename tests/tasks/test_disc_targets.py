from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from helpers.phantoms import meta_tensor, rotation

from bundle.tasks.spine.disc_targets import MakeDiscTargetsd

SHAPE = (64, 128)
PLAIN: dict[str, Any] = {"sigma": 4.0, "stride": 4, "first_level": 2, "level_count": 24}


def slab(shape: tuple[int, int] = SHAPE, turn: float = 0.0) -> Any:
    affine = rotation(turn, turn, 0) @ np.diag([6.0, 1.5, 1.5, 1.0])
    affine[:3, 3] = 12, -80, 40
    return meta_tensor(torch.ones(1, 1, *shape), affine)


def points_at(image: Any, places: dict[int, tuple[float, float, float]]) -> np.ndarray:
    """Return points by value at (mm from the slab, row, column)."""
    rows = []
    for value, (lateral, row, column) in places.items():
        world = np.asarray(image.affine) @ [lateral / 6.0, row, column, 1.0]
        rows.append([value, *world[:3]])
    return np.array(rows).reshape(-1, 4)


def targets(places: dict[int, tuple[float, float, float]], *, turn: float = 0.0, **options: Any) -> torch.Tensor:
    image = slab(turn=turn)
    complete = options.pop("complete", True)
    case = {"image": image, "points": points_at(image, places), "complete": complete}
    return MakeDiscTargetsd("image", **{**PLAIN, **options})(case)["label"]


def kinds(label: torch.Tensor, first_level: int = 2) -> dict[str, list[int]]:
    """Sort the levels by what their channel is."""
    found: dict[str, list[int]] = {"seen": [], "absent": [], "unknown": []}
    for level, channel in enumerate(label, start=first_level):
        unknown = bool(channel.isnan().any())
        assert unknown == bool(channel.isnan().all())
        found["unknown" if unknown else "seen" if channel.any() else "absent"].append(level)
    return found


@pytest.mark.parametrize("turn", [0.0, 9.0])
def test_a_heat_map_is_a_gaussian_about_the_point(turn: float) -> None:
    label = targets({5: (3.0, 20.3, 77.8)}, turn=turn)
    assert label.shape == (24, 16, 32)
    assert label.dtype == torch.float32
    for row, column in ((5, 19), (4, 20), (7, 17)):
        y, x = (row + 0.5) * 4 - 0.5, (column + 0.5) * 4 - 0.5
        expected = math.exp(-((y - 20.3) ** 2 + (x - 77.8) ** 2) / (2 * 16)) * math.exp(-(3.0**2) / (2 * 64))
        assert float(label[3, row, column]) == pytest.approx(expected, rel=1e-5)
    assert kinds(label)["seen"] == [5]


@pytest.mark.parametrize(("lateral_sigma", "peak"), [(8.0, math.exp(-0.5)), (4.0, math.exp(-2.0)), (None, 1.0)])
def test_the_peak_falls_with_the_distance_to_the_slab(lateral_sigma: float | None, peak: float) -> None:
    label = targets({5: (-8.0, 21.5, 77.5)}, lateral_sigma=lateral_sigma)
    assert float(label[3].amax()) == pytest.approx(peak, rel=1e-5)


def test_the_image_loses_its_lateral_axis_and_is_padded_at_the_far_ends() -> None:
    image = slab((50, 70))
    case = {"image": image, "points": points_at(image, {5: (0.0, 30.0, 40.0)}), "complete": True, "case": "a"}
    made = MakeDiscTargetsd("image", **PLAIN)(case)
    assert made["image"].shape == (1, 64, 128)
    assert made["image"][:, :50, :70].all()
    assert float(made["image"].sum()) == 50 * 70
    np.testing.assert_allclose(made["image"].affine, image.affine)
    assert made["label"].shape == (24, 16, 32)
    assert set(made) == {"image", "label", "complete", "case"}
    peak = np.unravel_index(int(made["label"][3].argmax()), (16, 32))
    assert abs(peak[0] * 4 + 1.5 - 30) <= 2
    assert abs(peak[1] * 4 + 1.5 - 40) <= 2


@pytest.mark.parametrize(("row", "column"), [(-1.0, 50.0), (64.0, 50.0), (30.0, -2.0), (30.0, 128.0)])
def test_a_point_outside_the_image_is_absent_however_near(row: float, column: float) -> None:
    assert kinds(targets({5: (0.0, row, column)}))["seen"] == []
    inside = min(max(row, -0.4), 63.4), min(max(column, -0.4), 127.4)
    assert kinds(targets({5: (0.0, *inside)}))["seen"] == [5]


def test_a_point_on_the_padding_is_absent() -> None:
    image = slab((50, 70))
    case = {"image": image, "points": points_at(image, {5: (0.0, 55.0, 40.0)}), "complete": True}
    assert not MakeDiscTargetsd("image", **PLAIN)(case)["label"].any()


def test_in_a_complete_case_all_other_levels_are_absent() -> None:
    found = kinds(targets({5: (0, 30, 80), 7: (0, 30, 50)}))
    assert found["seen"] == [5, 7]
    assert found["unknown"] == []
    assert not targets({}).any()


def test_in_an_incomplete_case_levels_near_the_labeled_ones_are_unknown() -> None:
    found = kinds(targets({19: (0, 30, 90), 20: (0, 30, 70), 22: (0, 30, 50)}, complete=False))
    assert found["seen"] == [19, 20, 22]
    assert found["unknown"] == [16, 17, 18, 21, 23, 24, 25]
    assert kinds(targets({9: (0, 30, 50)}, complete=False, unknown_margin=1))["unknown"] == [8, 10]


def test_beyond_a_labeled_level_out_of_view_nothing_is_unknown() -> None:
    found = kinds(targets({19: (0, 30, 140), 20: (0, 30, 70), 21: (0, 30, 50)}, complete=False))
    assert found["unknown"] == [22, 23, 24]
    found = kinds(targets({19: (0, 30, 90), 20: (0, 30, 70), 21: (0, 30, -20)}, complete=False))
    assert found["unknown"] == [16, 17, 18]
    found = kinds(targets({19: (0, 30, 160), 20: (0, 30, 140)}, complete=False))
    assert found["unknown"] == [16, 17, 18, 21, 22, 23]


def test_in_an_incomplete_case_without_points_all_levels_are_unknown() -> None:
    assert targets({}, complete=False).isnan().all()


def test_a_point_of_nan_is_known_to_be_out_of_view() -> None:
    image = slab()
    points = points_at(image, {20: (0, 30, 70), 21: (0, 30, 50)})
    points[1, 1:] = np.nan
    label = MakeDiscTargetsd("image", **PLAIN)({"image": image, "points": points})["label"]
    assert kinds(label)["seen"] == [20]
    assert kinds(label)["unknown"] == [17, 18, 19]


def test_levels_without_a_channel_are_passed_over() -> None:
    label = targets({1: (0, 30, 90), 5: (0, 30, 70), 9: (0, 30, 50)}, first_level=4, level_count=3)
    assert label.shape[0] == 3
    assert kinds(label, 4)["seen"] == [5]


@pytest.mark.parametrize(
    "options", [{"level_count": 0}, {"stride": 0}, {"sigma": 0.0}, {"lateral_sigma": 0.0}, {"keys": ["image", "b"]}]
)
def test_impossible_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"must be 1 or more|belongs to one image"):
        MakeDiscTargetsd(**{"keys": "image", **options})
