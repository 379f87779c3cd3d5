"""Values of the structures of a label map have full names."""

from __future__ import annotations

from bundle.inference.case_findings import CaseFindings, flat_names


def test_a_full_name_is_that_of_the_region_and_the_structure() -> None:
    names = {"left": {"anterior": 11, "posterior": 12}, "right": {"anterior": 21}}
    assert flat_names(names) == {"left_anterior": 11, "left_posterior": 12, "right_anterior": 21}


def test_without_a_region_it_is_that_of_the_structure() -> None:
    assert flat_names({"": {"anterior": 1, "posterior": 2}}) == {"anterior": 1, "posterior": 2}


def test_findings_are_empty_at_first_and_not_shared() -> None:
    one, other = (CaseFindings({}) for _ in range(2))
    one.remarks.append("cut")
    one.results["regions"] = []
    assert (other.results, other.remarks) == ({}, [])
