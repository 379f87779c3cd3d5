"""An image and its final label."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bundle.server.labeled_case import LabeledCase


def test_the_crop_of_a_region_keeps_the_name_of_its_image() -> None:
    case = LabeledCase("head", Path("head.nii.gz"), Path("final/head.nii.gz"))
    assert case.names == {}
    assert replace(case, image=Path("head_left.nii.gz")).name == "head"
