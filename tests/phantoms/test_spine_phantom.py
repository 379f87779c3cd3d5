from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from bundle.data import load_datalist
from bundle.phantoms.spine.spine_phantom import (
    SpinePhantom,
    draw_spine_phantom,
    make_spine_phantom,
    write_spine_phantoms,
)
from bundle.tasks.spine.discs import read_discs

SMALL = {"shape": (3, 90, 120), "spacing": (4, 2, 2.5)}
CLEAN = {"noise": 0, "bias_field": 0}


def around(phantom: SpinePhantom, forward: float) -> np.ndarray:
    """Return the signal ``forward`` mm in front of each tip, by interpolation."""
    places = phantom.points[:, 1:] + (0, forward, 0)
    index = nib.affines.apply_affine(np.linalg.inv(phantom.affine), places)
    return map_coordinates(phantom.voxels, index.T, order=1, mode="nearest")


@pytest.mark.parametrize("field", ["cervical", "thoracic", "lumbar", "thoracolumbar", "whole"])
def test_each_field_of_view_is_finite_and_has_points_in_it(field: str) -> None:
    phantom = draw_spine_phantom(seed=1, field_of_view=field, **SMALL)
    assert phantom.voxels.dtype == np.float32
    assert np.isfinite(phantom.voxels).all()
    assert phantom.voxels.std() > 0.02
    index = nib.affines.apply_affine(np.linalg.inv(phantom.affine), phantom.points[:, 1:])
    assert len(index)
    assert (index > -0.5).all()
    assert (index < np.array(phantom.voxels.shape) - 0.5).all()
    assert set(map(tuple, phantom.points)) <= set(map(tuple, phantom.all_points))
    assert phantom.points.dtype == np.float64
    assert phantom.all_points.shape == (24, 4)


def test_levels_out_of_view_are_not_among_the_points_in_view() -> None:
    phantom = draw_spine_phantom(seed=2, field_of_view="lumbar", spine={"lumbar_vertebrae": 5}, **SMALL)
    unseen = set(phantom.all_points[:, 0]) - set(phantom.points[:, 0])
    assert {2, 3, 4, 5} <= unseen
    index = nib.affines.apply_affine(np.linalg.inv(phantom.affine), phantom.all_points[:, 1:])
    inside = ((index >= -0.5) & (index <= np.array(phantom.voxels.shape) - 0.5)).all(axis=1)
    assert np.array_equal(phantom.all_points[inside], phantom.points)


@pytest.mark.parametrize("seed", [3, 4, 5])
def test_in_t2_a_tip_lies_between_the_dark_rim_of_the_disc_and_the_bright_canal(seed: int) -> None:
    options = {"contrast": "t2", "shape": (1, 180, 260), "spacing": (1, 1, 1), "orientation": "RAS"}
    straight = {"tilt": 0, "scoliosis": 0}
    phantom = draw_spine_phantom(seed=seed, field_of_view=(20, 24), spine=straight, acquisition=CLEAN, **options)
    profile = np.stack([around(phantom, mm) for mm in (3, 2, 1, 0, -1, -4, -5, -6, -7)])
    assert (profile[:5].min(axis=0) < 0.5 * profile[5:].max(axis=0)).all()


def test_a_seed_is_one_phantom_to_the_last_bit() -> None:
    first, second, other = (draw_spine_phantom(seed=seed, **SMALL) for seed in (7, 7, 8))
    assert np.array_equal(first.voxels, second.voxels)
    assert np.array_equal(first.affine, second.affine)
    assert np.array_equal(first.points, second.points)
    assert not np.array_equal(first.all_points, other.all_points)


@pytest.mark.parametrize("codes", ["PIR", "LIA", "ASR"])
def test_the_order_of_the_axes_changes_neither_points_nor_what_is_seen_at_a_place(codes: str) -> None:
    straight = draw_spine_phantom(seed=9, orientation="RAS", **SMALL)
    turned = draw_spine_phantom(seed=9, orientation=codes, **SMALL)
    assert np.array_equal(straight.points, turned.points)
    back = nib.as_closest_canonical(nib.Nifti1Image(turned.voxels, turned.affine))
    assert np.allclose(back.affine, straight.affine)
    assert np.array_equal(np.asarray(back.dataobj), straight.voxels)


@pytest.mark.parametrize(("lumbar", "missing"), [(4, {24}), (5, set()), (6, set())])
def test_variants_keep_their_numbers(lumbar: int, missing: set[int]) -> None:
    phantom = draw_spine_phantom(seed=10, spine={"lumbar_vertebrae": lumbar}, **SMALL)
    assert set(range(2, 26)) - set(phantom.all_points[:, 0].astype(int)) == missing


def test_all_sequences_and_several_orientations_are_drawn_at_times() -> None:
    tiny = {"shape": (1, 8, 8), "spacing": (5, 20, 20)}
    phantoms = [draw_spine_phantom(seed=seed, **tiny) for seed in range(60)]
    assert {p.contrast for p in phantoms} == {"t1", "t2", "t1_gre", "ffe", "stir"}
    assert len({nib.aff2axcodes(p.affine) for p in phantoms}) > 5


def test_the_short_form_returns_voxels_affine_and_points() -> None:
    phantom = draw_spine_phantom(seed=11, **SMALL)
    voxels, affine, points = make_spine_phantom(seed=11, **SMALL)
    assert np.array_equal(voxels, phantom.voxels)
    assert np.array_equal(affine, phantom.affine)
    assert np.array_equal(points, phantom.points)


def test_a_written_set_is_read_as_a_dataset_with_the_exact_points(tmp_path: Path) -> None:
    content = write_spine_phantoms(tmp_path, 3, seed=4, folds=2, field_of_view="lumbar", **SMALL)
    assert json.loads((tmp_path / "dataset.json").read_text()) == content
    cases = load_datalist(tmp_path)["training"]
    assert [case["fold"] for case in cases] == [0, 1, 0]
    assert all(case["complete"] is True for case in cases)
    for number, case in enumerate(cases):
        phantom = draw_spine_phantom(seed=(4, number), field_of_view="lumbar", **SMALL)
        image = nib.load(case["image"])
        assert image.get_data_dtype() == np.int16
        assert np.allclose(image.affine, phantom.affine, atol=1e-4)
        assert np.allclose(np.asarray(image.dataobj), 1000 * phantom.voxels, atol=0.51)
        discs = read_discs(case["label"])
        assert [disc.value for disc in discs] == phantom.points[:, 0].astype(int).tolist()
        assert np.allclose([disc.position for disc in discs], phantom.points[:, 1:], atol=1e-4)
        marked = read_discs(case["label"].replace("_discs.json", "_labels-disc.nii.gz"))
        away = np.array([disc.position for disc in marked]) - phantom.points[:, 1:]
        assert [disc.value for disc in marked] == [disc.value for disc in discs]
        assert (np.linalg.norm(away, axis=1) <= 0.51 * np.linalg.norm(SMALL["spacing"])).all()


def test_a_larger_set_begins_with_the_smaller_one(tmp_path: Path) -> None:
    for name, count in (("one", 1), ("two", 2)):
        write_spine_phantoms(tmp_path / name, count, **SMALL)
    label = "labels/phantom00000_discs.json"
    assert (tmp_path / "one" / label).read_text() == (tmp_path / "two" / label).read_text()
    first, second = (
        np.asarray(nib.load(tmp_path / name / "images/phantom00000.nii.gz").dataobj) for name in ("one", "two")
    )
    assert np.array_equal(first, second)


@pytest.mark.parametrize("options", [{"count": 0}, {"count": 1, "folds": 0}])
def test_a_set_needs_a_phantom_and_a_fold(tmp_path: Path, options: dict) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        write_spine_phantoms(tmp_path, **options)
