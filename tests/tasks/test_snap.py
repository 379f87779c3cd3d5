"""Moving of candidates to the places of discs."""

from __future__ import annotations

import numpy as np
import pytest

from bundle.tasks.spine.discs import Candidates, snap_candidates
from bundle.tasks.spine.discs.snap import share_candidates

PLACES = Candidates(np.array([[0.0, 0.0], [0.0, 20.0], [0.0, 40.0]]), np.ones(3))


def candidates(*rows: tuple[float, float, float]) -> Candidates:
    table = np.array(rows, dtype=float).reshape(-1, 3)
    return Candidates(table[:, :2], table[:, 2])


def test_a_candidate_moves_to_the_nearest_place() -> None:
    (moved,) = snap_candidates([candidates((1, 13, 0.9), (-2, 6, 0.5))], PLACES, reach=10)
    np.testing.assert_array_equal(moved.positions, [[0, 20], [0, 0]])
    np.testing.assert_array_equal(moved.confidence, [0.9, 0.5])


def test_a_candidate_out_of_reach_stays_where_it_is() -> None:
    (moved,) = snap_candidates([candidates((0, 30.5, 0.9), (30, 0, 0.4))], PLACES, reach=9)
    np.testing.assert_array_equal(moved.positions, [[0, 30.5], [30, 0]])


def test_two_candidates_of_a_level_at_one_place_are_its_most_confident() -> None:
    (moved,) = snap_candidates([candidates((0, 22, 0.9), (0, 1, 0.6), (0, 17, 0.5), (0, 60, 0.3))], PLACES, reach=5)
    np.testing.assert_array_equal(moved.positions, [[0, 20], [0, 0], [0, 60]])
    np.testing.assert_array_equal(moved.confidence, [0.9, 0.6, 0.3])


def test_a_candidate_that_may_not_move_stays_next_to_one_that_moves() -> None:
    movable = [np.array([False, True])]
    (moved,) = snap_candidates([candidates((0, 22, 0.9), (0, 19, 0.6))], PLACES, reach=5, movable=movable)
    np.testing.assert_array_equal(moved.positions, [[0, 22], [0, 20]])


def test_each_level_is_moved_independently() -> None:
    moved = snap_candidates([candidates((0, 19, 0.9)), candidates(), candidates((0, 21, 0.7))], PLACES, reach=5)
    assert [len(of) for of in moved] == [1, 0, 1]
    np.testing.assert_array_equal(moved[0].positions, moved[2].positions)


def test_without_a_place_nothing_moves() -> None:
    (moved,) = snap_candidates([candidates((3, 4, 0.9))], candidates(), reach=5)
    np.testing.assert_array_equal(moved.positions, [[3, 4]])


def test_a_negative_reach_is_refused() -> None:
    with pytest.raises(ValueError, match="reach must be 0 or more, got -1"):
        snap_candidates([], PLACES, reach=-1)


def test_a_level_gets_the_candidates_of_its_neighbors_with_its_own_response() -> None:
    found = [candidates((0, 60, 0.9)), candidates(), candidates((0, 30, 0.8), (1, 61, 0.4)), candidates((9, 9, 0.5))]

    def response(channel: int, positions: np.ndarray) -> np.ndarray:
        return positions[:, 1] / 100 + channel

    shared = share_candidates(found, response, distance=8.0)
    assert [len(of) for of in shared] == [1, 2, 3, 3]
    np.testing.assert_array_equal(shared[1].positions, [[0, 60], [0, 30]])
    np.testing.assert_allclose(shared[1].confidence, [1.6, 1.3])
    np.testing.assert_array_equal(shared[2].positions, [[0, 30], [1, 61], [9, 9]])
    np.testing.assert_allclose(shared[2].confidence, [0.8, 0.4, 2.09])
