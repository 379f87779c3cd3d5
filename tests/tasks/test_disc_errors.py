from __future__ import annotations

from bundle.tasks.spine.discs import DiscFileError, DiscPlacementError


def test_the_error_of_a_file_names_file_problem_and_remedy() -> None:
    error = DiscFileError("points.csv", "has no column", "name it")
    assert str(error) == "points.csv: has no column; name it."
    assert (error.file, error.problem, error.remedy) == ("points.csv", "has no column", "name it")


def test_both_errors_are_value_errors() -> None:
    assert issubclass(DiscFileError, ValueError)
    assert issubclass(DiscPlacementError, ValueError)
