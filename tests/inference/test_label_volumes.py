"""Volumes of the structures of a label map, and of one region compared with another."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.phantoms import noise

from bundle.inference.label_volumes import compare_regions, measure_volumes

NAMES = {"left": {"anterior": 11, "posterior": 12}, "right": {"anterior": 21, "posterior": 22}}


def measured(*volumes: float) -> dict[str, dict[str, float]]:
    """Return volumes by full names in the order of :data:`NAMES`."""
    names = (f"{region}_{structure}" for region, structures in NAMES.items() for structure in structures)
    return {name: {"volume_mm3": volume} for name, volume in zip(names, volumes, strict=True)}


def test_volumes_and_confidences_are_those_of_the_voxels() -> None:
    labels = np.random.default_rng(0).integers(0, 5, (6, 7, 8)).astype(np.uint8)
    margin = (noise((6, 7, 8)) * 20 + 100).astype(np.uint8)
    found = measure_volumes(labels, 1.5, {"a": 1, "b": 3, "absent": 9}, {"margin": margin})
    for name, value in (("a", 1), ("b", 3)):
        mask = labels == value
        assert found[name] == {
            "value": value,
            "voxels": mask.sum(),
            "volume_mm3": mask.sum() * 1.5,
            "mean_margin": round(float(margin[mask].mean() / 255), 4),
        }
    assert found["absent"] == {"value": 9, "voxels": 0, "volume_mm3": 0}


def test_volumes_are_given_by_region_and_in_total() -> None:
    found = compare_regions(measured(300, 100.5, 200, 100), NAMES)
    assert found["volumes_mm3"] == {
        "left": {"anterior": 300, "posterior": 100.5, "total": 400.5},
        "right": {"anterior": 200, "posterior": 100, "total": 300},
    }


@pytest.mark.parametrize("left", [300.0, 200.0, 0.0])
def test_asymmetry_is_the_difference_in_percent_of_the_mean(left: float) -> None:
    found = compare_regions(measured(left, 100, 200, 80), NAMES)["asymmetry_percent"]
    assert found["anterior"] == round((left - 200) / np.mean([left, 200]) * 100, 2)
    assert found["posterior"] == round(20 / 90 * 100, 2)
    assert found["total"] == round((left + 100 - 280) / np.mean([left + 100, 280]) * 100, 2)


def test_the_asymmetry_of_a_structure_that_neither_region_has_is_unknown() -> None:
    assert compare_regions(measured(0, 100, 0, 100), NAMES)["asymmetry_percent"] == {
        "anterior": None,
        "posterior": 0,
        "total": 0,
    }


@pytest.mark.parametrize("count", [1, 3])
def test_one_or_three_regions_have_no_asymmetry(count: int) -> None:
    names = {f"lobe{number}": {"airway": number} for number in range(1, count + 1)}
    found = compare_regions({f"lobe{number}_airway": {"volume_mm3": 5.0} for number in range(1, count + 1)}, names)
    assert list(found) == ["volumes_mm3"]
    assert len(found["volumes_mm3"]) == count
