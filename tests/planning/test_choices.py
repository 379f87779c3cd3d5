"""A choice is one line: value and reason, and its source where it is asked for."""

from __future__ import annotations

from bundle.planning.choices import DATA, Choice


def test_the_source_stands_in_the_line_only_if_it_is_explained() -> None:
    choice = Choice("spacing", [1.0, 1.0, 3.0], "median of the cases", DATA)
    assert choice.line() == "spacing            [1.0, 1.0, 3.0]: median of the cases"
    assert choice.line(explain=True) == f"{choice.line()} [dataset]"
