"""Tables of an experiment in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def with_interval(values: Mapping[str, float], digits: int = 4, *, sign: bool = False) -> str:
    """Return a mean and its interval, ``mean [low, high]``, for a table."""
    mean, low, high = (f"{values[name]:{'+' if sign else ''}.{digits}f}" for name in ("mean", "low", "high"))
    return f"{mean} [{low}, {high}]"
