"""Comparisons of computed lengths with a limit."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bundle.utils.lengths import is_above, is_at_least, is_at_most, is_below, rounded


@pytest.mark.parametrize("limit", [0.2, 1.0, 5.0, -0.5])
def test_a_length_within_rounding_of_the_limit_is_equal_to_it(limit: float) -> None:
    for length in (limit * (1 - 1e-7), limit, limit * (1 + 1e-7)):
        assert is_at_most(length, limit)
        assert is_at_least(length, limit)
        assert not is_below(length, limit)
        assert not is_above(length, limit)


@pytest.mark.parametrize("limit", [0.2, 1.0, 5.0])
def test_other_lengths_are_on_their_side(limit: float) -> None:
    for length, above in ((limit * 1.001, True), (limit * 0.999, False)):
        found = [bool(compare(length, limit)) for compare in (is_above, is_at_least, is_below, is_at_most)]
        assert found == [above, above, not above, not above]


def test_nan_is_on_no_side() -> None:
    assert not any(compare(np.nan, 1.0) for compare in (is_above, is_at_least, is_below, is_at_most))


def test_arrays_and_tensors_are_compared_element_by_element() -> None:
    lengths = np.array([0.5, 1.00000003, 2.0])
    assert is_at_most(lengths, 1.0).tolist() == [True, True, False]
    assert is_below(torch.tensor(lengths), 1.0).tolist() == [True, False, False]
    assert is_at_most(lengths, np.array([0.4, 1.0, 2.0])).tolist() == [False, True, True]


def test_a_half_is_rounded_to_the_same_side_whatever_its_last_digits() -> None:
    assert {rounded(56.5 + error) for error in (-3e-5, 0.0, 3e-5)} == {56}
    assert (rounded(57.51), rounded(57.49)) == (58, 57)
