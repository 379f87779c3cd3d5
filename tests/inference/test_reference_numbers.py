"""Numbers of results are compared with their distribution; what is suspicious is said in words."""

from __future__ import annotations

import pytest

from bundle.inference.reference_numbers import NumberRange, flag, learn_ranges, result_numbers, structure_of

RANGE = NumberRange(100, low=0.8355, median=0.9, high=0.95)


def test_numbers_of_every_task_are_found() -> None:
    volume = {"value": 1, "voxels": 9, "volume_mm3": 9.0, "component_volumes_mm3": [6.0, 3.0], "border_share": None}
    assert result_numbers({"labels": {"part": volume}}) == {"part": {"volume_mm3": 9.0, "largest_share": 0.6667}}
    image = {"area_share": 0.1, "regions": 2, "mean_probability": None, "box": [1, 2, 3, 4]}
    assert result_numbers({"labels": {"lesion": image}}) == {"lesion": {"area_share": 0.1, "regions": 2}}
    classes = {"melanoma": {"probability": 0.7, "threshold": 0.5, "positive": True}}
    assert result_numbers({"classes": classes}) == {"melanoma": {"probability": 0.7}}
    discs = {"discs": [{"confidence": 0.5}, {"confidence": 0.9}, {"confidence": None}], "numbering_probability": 0.9}
    assert result_numbers(discs) == {
        "discs": {"numbering_probability": 0.9, "count": 3, "confidence": pytest.approx(0.7)}
    }
    assert result_numbers({"discs": [], "numbering": "uncertain"}) == {"discs": {"count": 0}}
    assert result_numbers({"labels": {"none": {"value": 1}}}) == {}


def test_the_median_has_a_score_of_0_and_each_side_its_own_spread() -> None:
    assert RANGE.z_score("margin", 0.9) == 0
    assert RANGE.z_score("margin", 0.8355) == pytest.approx(-1.645, abs=0.01)
    assert RANGE.z_score("margin", 0.95) == pytest.approx(1.645, abs=0.01)


def test_a_number_that_never_varied_has_a_smallest_spread() -> None:
    same = NumberRange(9, 1.0, 1.0, 1.0)
    assert same.z_score("largest_share", 0.9) == pytest.approx(-10)
    assert same.z_score("regions", 3.0) == pytest.approx(2)


@pytest.mark.parametrize(
    ("number", "value", "words"),
    [
        ("margin", 0.5, "part: margin 0.5 is low (0.9 in training, z = -10.2)"),
        ("margin", 1.3, None),
        ("margin", 0.89, None),
        ("entropy", 1.3, "part: entropy 1.3 is high (0.9 in training, z = 13.2)"),
        ("entropy", 0.5, None),
        ("area_share", 0.5, "part: area_share 0.5 is low (0.9 in training, z = -10.2)"),
        ("area_share", 1.3, "part: area_share 1.3 is high (0.9 in training, z = 13.2)"),
    ],
)
def test_only_the_suspicious_side_is_flagged(number: str, value: float, words: str | None) -> None:
    assert flag("part", number, value, RANGE, limit=4.0) == words


def test_ranges_are_percentiles_of_all_results() -> None:
    ranges = learn_ranges([{"part": {"margin": value / 100}} for value in range(101)] + [{"other": {"margin": 0.5}}])
    assert ranges["part"]["margin"] == NumberRange(101, 0.05, 0.5, 0.95)
    assert ranges["other"]["margin"].cases == 1


def test_structures_of_regions_have_the_names_of_one() -> None:
    assert structure_of("right_posterior", ["left", "right"]) == "posterior"
    assert structure_of("posterior", []) == "posterior"
