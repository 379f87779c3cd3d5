"""Normalization and augmentation follow the modality."""

from __future__ import annotations

import pytest

from bundle.planning.intensity import augmentation, has_sides, is_ct, normalization

INSIDE = {"p0.5": -50.0, "p50": 60.0, "p99.5": 200.0, "mean": 60.0, "sd": 20.0}


@pytest.mark.parametrize(
    ("channels", "lowest", "expected"),
    [
        *(([name], 0, True) for name in ("CT", "CTA", "CBCT")),
        *(([name], -1024, True) for name in ("image", "Volume")),
        *((["image"], 0, False), (["MRI"], -1024, False), (["ACTH"], 0, False)),
    ],
)
def test_ct_is_told_by_its_name_or_by_air(channels: list[str], lowest: float, expected: bool) -> None:
    assert is_ct(channels, {"lowest": lowest}) is expected


def test_ct_is_clipped_and_standardized_by_what_is_inside_of_structures() -> None:
    transform, reason = normalization(True, [INSIDE])
    assert (transform["a_min"], transform["a_max"], transform["b_min"], transform["b_max"]) == (-50, 200, -5.5, 7)
    assert "-50 to 200 HU" in reason


def test_constant_structures_do_not_divide_by_zero() -> None:
    transform, _ = normalization(True, [{**INSIDE, "p0.5": 5.0, "p99.5": 5.0, "mean": 5.0, "sd": 0.0}])
    assert transform["a_max"] > transform["a_min"]


def test_images_without_a_unit_are_standardized_one_by_one() -> None:
    assert normalization(False, [INSIDE])[0]["_target_"].endswith("StandardizeIntensityd")
    assert normalization(True, [INSIDE] * 2)[0]["_target_"].endswith("NormalizeContentd")


@pytest.mark.parametrize(
    "name", ["kidney_left", "Right", "lh.cortex", "hippocampus-r", "left kidney", "Parotid_Lt", "KidneyRight", "lungL"]
)
def test_names_of_sides_are_known(name: str) -> None:
    assert has_sides(["liver", name])


def test_no_side_is_read_into_other_words() -> None:
    assert not has_sides(["liver", "cleft", "anterior", "lung", "bright", "alt", "LV"])


def test_thick_slices_are_turned_in_their_plane_alone() -> None:
    affine = next(item for item in augmentation([0.8, 0.8, 5.0], ct=True, mirror=False) if "Affine" in item["_target_"])
    assert (affine["rotate_range"], affine["scale_range"]) == ([0.0, 0.0, 0.4], [0.25, 0.25, 0.0])


@pytest.mark.parametrize("mirror", [True, False])
def test_images_are_mirrored_only_where_structures_have_no_side(mirror: bool) -> None:
    found = [item["_target_"] for item in augmentation([1, 1, 1], ct=False, mirror=mirror)]
    assert ("RandFlipd" in found) is mirror
