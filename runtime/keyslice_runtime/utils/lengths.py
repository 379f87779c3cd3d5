"""Comparisons of computed lengths and volumes with a limit, with a relative slack.

The last digits of a length that is computed from an affine depend on the orientation of the scan: voxels of 1 mm have
1.00000003 mm in one oblique scan and 0.99999997 mm in the next. A length that differs from a limit by no more than the
slack is equal to it.
"""

from __future__ import annotations

from typing import Any

SLACK = 1e-4
"""Difference from a limit, relative to it, up to which a length is equal to it."""


def is_at_most(lengths: Any, limit: Any) -> Any:
    """Return ``lengths <= limit`` with the slack: a bool, or an array or tensor of them.

    Examples:
        >>> is_at_most(1.00000003, 1.0), is_at_most(1.01, 1.0)
        (True, False)
    """
    return lengths <= limit + SLACK * abs(limit)


def is_at_least(lengths: Any, limit: Any) -> Any:
    """Return ``lengths >= limit`` with the slack, see :func:`is_at_most`."""
    return lengths >= limit - SLACK * abs(limit)


def is_below(lengths: Any, limit: Any) -> Any:
    """Return ``lengths < limit`` with the slack: false for a length that is equal to the limit."""
    return lengths < limit - SLACK * abs(limit)


def is_above(lengths: Any, limit: Any) -> Any:
    """Return ``lengths > limit`` with the slack: false for a length that is equal to the limit."""
    return lengths > limit + SLACK * abs(limit)


def rounded(count: float) -> int:
    """Return a number of voxels that was computed from lengths, rounded to an integer, halves to even.

    Examples:
        >>> rounded(56.50000003), rounded(56.49999997), rounded(56.6)
        (56, 56, 57)
    """
    return round(round(count, 3))
