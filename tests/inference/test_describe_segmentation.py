"""The JSON of a label map has volume, components and confidence of every structure."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bundle.inference.describe_segmentation import describe_segmentation

LABELS = np.zeros((6, 5, 4), np.uint8)
LABELS[:2, 0, 0], LABELS[5, 4, 3], LABELS[3, 2, 1:3] = 1, 1, 2
SPACING = np.array([1.0, 2.0, 0.5])


def test_structures_without_regions() -> None:
    found = describe_segmentation(
        LABELS, SPACING, {"": {"a": 1, "b": 2}}, output=Path("x.nii.gz"), numbers={"a": {"margin": 0.7}}
    )
    assert (found["output"], found["shape"], found["spacing_mm"]) == ("x.nii.gz", [6, 5, 4], [1.0, 2.0, 0.5])
    first, second = found["labels"]["a"], found["labels"]["b"]
    assert (first["volume_mm3"], first["components"], first["margin"]) == (3.0, 2, 0.7)
    assert (second["volume_mm3"], second["components"]) == (2.0, 1)
    assert "margin" not in second
    assert "volumes_mm3" not in found


def test_volumes_of_regions_are_compared() -> None:
    found = describe_segmentation(LABELS, SPACING, {"left": {"a": 1}, "right": {"a": 2}}, output=Path("x"), numbers={})
    assert set(found["labels"]) == {"left_a", "right_a"}
    assert set(found["volumes_mm3"]) == {"left", "right"}
