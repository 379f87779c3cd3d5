"""Tables of an experiment in Markdown."""

from __future__ import annotations

from bundle.experiments.markdown_tables import markdown_table, with_interval


def test_a_table_has_a_line_under_its_head() -> None:
    assert markdown_table(["a", "b"], [["1", "2"]]).splitlines() == ["| a | b |", "| --- | --- |", "| 1 | 2 |"]


def test_a_mean_stands_before_its_interval() -> None:
    values = {"mean": 0.5, "low": 0.25, "high": -0.125}
    assert with_interval(values) == "0.5000 [0.2500, -0.1250]"
    assert with_interval(values, 2, sign=True) == "+0.50 [+0.25, -0.12]"
