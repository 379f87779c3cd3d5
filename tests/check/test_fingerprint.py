"""The fingerprint sums up what a training is planned from."""

from __future__ import annotations

from typing import Any

import pytest

from bundle.check.findings import Reading
from bundle.check.fingerprint import fingerprint
from bundle.check.items import Item


def reading(mean: float, values: list[str], **facts: Any) -> Reading:
    found = Reading(Item("a", ("a.nii.gz",), "b.nii.gz", "training", "volumes"))
    inside = {"p0.5": mean - 1, "p50": mean, "p99.5": mean + 1, "mean": mean, "sd": 3.0}
    structure = {"extent_mm": [mean, 2.0, 3.0], "components": 1, "smallest_mm3": 8.0}
    found.facts |= {
        "ras": {"spacing": [1, 1, 2], "size": [8, 8, 4]},
        "structures": dict.fromkeys(values, structure),
        "volumes_ml": dict.fromkeys(values, 2.0),
        "inside": [inside],
        "intensity": {"min": -mean},
        **facts,
    }
    return found


def test_structures_are_named_and_intensities_pooled() -> None:
    found = fingerprint([reading(10, ["1"]), reading(18, ["1", "4"])], {"liver": 1})
    assert (found["cases"], found["lowest"]) == (2, -14)
    assert [item["cases"] for item in found["structures"].values()] == [2, 1]
    assert list(found["structures"]) == ["liver", "label_4"]
    assert (found["inside"][0]["mean"], found["inside"][0]["sd"]) == (14, pytest.approx(5.0))


def test_items_without_structures_do_not_count() -> None:
    assert fingerprint([Reading(Item("a", ("a.png",), None, "test", "images"))]) == {}
