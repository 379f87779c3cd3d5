"""A datalist that cannot be used has one error, wherever it is imported from."""

from __future__ import annotations

import bundle.data
from bundle.data import datalist
from bundle.data import datalist_error as errors


def test_there_is_one_error() -> None:
    assert bundle.data.DatalistError is datalist.DatalistError is errors.DatalistError
    assert issubclass(errors.DatalistError, ValueError)
