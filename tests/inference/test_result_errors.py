"""Errors of results name the file, what is wrong and what to do."""

from __future__ import annotations

from bundle.inference.result_errors import implausible_crop, not_a_crop


def test_an_implausible_crop_names_the_option_of_the_limit() -> None:
    text = str(implausible_crop("a.nii.gz", "distance 30, limit 10"))
    assert text.startswith("a.nii.gz: the result is not plausible (distance 30, limit 10)")
    assert "plausible_distance sets the limit" in text


def test_an_image_that_is_no_crop_has_both_sizes() -> None:
    text = str(not_a_crop("a.nii.gz", (180.2, 200.0, 160.0), (60, 80, 60), remedy="crop it"))
    assert "has a size of 180 x 200 x 160 mm" in text
    assert "at most 60 x 80 x 60 mm" in text
    assert "crop it" in text
