"""Simulated candidates."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bundle.phantoms.spine.candidate_simulation import CandidateOptions, CandidateSet, draw_candidates

LEVELS = range(2, 26)
SPINE = np.array([[value, 3.0, 0.1 * (value - 12) ** 2, -28.0 * value] for value in LEVELS])
EXACT: dict[str, Any] = {
    "rotation": 0.0,
    "scale": 0.0,
    "jitter": (0, 0),
    "missing": (0, 0),
    "neighbors": (0, 0),
    "doubles": (0, 0),
    "strays": (0, 0),
    "least": 24,
}
"""Candidates that are the discs of the complete spine."""


def draw(seed: int = 0, **options: Any) -> CandidateSet:
    return draw_candidates(np.random.default_rng(seed), SPINE, LEVELS, CandidateOptions(**options))


def test_without_any_mistake_the_candidates_are_the_discs() -> None:
    drawn = draw(**EXACT)
    np.testing.assert_allclose(drawn.places, SPINE[drawn.classes, 2:])
    assert sorted(drawn.classes) == list(range(24))


def test_the_order_has_no_information() -> None:
    drawn = draw(**EXACT)
    assert list(drawn.classes) != sorted(drawn.classes)


@pytest.mark.parametrize("seed", range(20))
def test_a_view_shows_discs_that_follow_each_other(seed: int) -> None:
    classes = sorted(draw(seed, **{**EXACT, "least": 3}).classes)
    assert len(classes) >= 3
    assert classes == list(range(classes[0], classes[-1] + 1))


def test_every_part_of_a_spine_comes_into_view() -> None:
    views = [set(draw(seed, **{**EXACT, "least": 1}).classes) for seed in range(200)]
    assert {len(view) for view in views} >= {1, 2, 24}
    assert all(sum(level in view for view in views) > 10 for level in range(24))


def test_some_discs_are_missing_but_never_all() -> None:
    counts = [len(draw(seed, **{**EXACT, "missing": (0.5, 0.5)}).classes) for seed in range(100)]
    assert np.mean(counts) == pytest.approx(0.5 * 23 + 1, abs=1.0)
    assert all(len(draw(seed, **{**EXACT, "missing": (1, 1)}).classes) == 1 for seed in range(5))


def test_spines_are_turned_and_scaled_about_nothing_that_the_network_could_see() -> None:
    drawn = draw(1, **{**EXACT, "rotation": 30.0, "scale": 0.1})
    reference = SPINE[drawn.classes, 2:]
    ratio = (
        np.linalg.norm(drawn.places - drawn.places[0], axis=1)[1:]
        / np.linalg.norm(reference - reference[0], axis=1)[1:]
    )
    assert ratio == pytest.approx(np.full(23, ratio[0]))
    assert ratio[0] != pytest.approx(1.0, abs=1e-3)


def test_jitter_moves_each_disc_independently() -> None:
    offsets = np.concatenate(
        [(lambda d: d.places - SPINE[d.classes, 2:])(draw(s, **{**EXACT, "jitter": (2, 2)})) for s in range(40)]
    )
    assert offsets.std(0) == pytest.approx([2.0, 2.0], rel=0.1)
    assert np.abs(offsets.mean(0)).max() < 0.2


@pytest.mark.parametrize(
    ("kind", "near", "far"), [("neighbors", 3.0, 60.0), ("doubles", 9.0, 18.0), ("strays", 0.0, 120.0)]
)
def test_false_candidates_are_none_and_lie_where_their_kind_does(kind: str, near: float, far: float) -> None:
    count = 0
    for seed in range(30):
        drawn = draw(seed, **{**EXACT, kind: (3, 3)})
        false = drawn.places[drawn.classes == 24]
        distance = np.linalg.norm(false[:, None] - SPINE[None, :, 2:], axis=-1)
        count += len(false)
        assert ((distance <= far + 1e-9).any(1) & (distance.min(1) <= far)).all()
        if kind == "doubles":
            assert ((distance >= near - 1e-9) & (distance <= far + 1e-9)).any(1).all()
        else:
            assert (distance >= near - 1e-9).all()
    assert count / 30 == pytest.approx(3.0, abs=1.0)


def test_sharp_scores_name_the_level_and_are_shares() -> None:
    drawn = draw(
        **{**EXACT, "level_spread": (0.05, 0.05), "noise": (0.01, 0.02), "foreground": (0, 9), "neighbors": (4, 4)}
    )
    discs = drawn.classes < 24
    assert (drawn.scores[discs].argmax(1) == drawn.classes[discs]).all()
    assert drawn.scores.min() >= 0
    assert drawn.scores.max() <= 1
    assert drawn.scores[discs].max(1).min() > 0.3


@pytest.mark.parametrize(("common", "own"), [(1.0, 0.0), (0.0, 1.0), (0.6, 0.8)])
def test_scores_are_a_hill_of_their_width_off_by_their_errors(common: float, own: float) -> None:
    shared, single, widths = [], [], []
    options = {
        "level_spread": (1.0, 1.0),
        "noise": (0.0, 0.0),
        "foreground": (0.0, 0.0),
        "common_error": (common, common),
        "own_error": (own, own),
    }
    for seed in range(300):
        drawn = draw(seed, **{**EXACT, **options})
        middle = (drawn.classes > 6) & (drawn.classes < 17)
        score = drawn.scores[middle] / drawn.scores[middle].sum(1, keepdims=True)
        mean_level = (score * np.arange(24)).sum(1)
        error = mean_level - drawn.classes[middle]
        widths.append((score * (np.arange(24) - mean_level[:, None]) ** 2).sum(1).mean())
        shared.append(error.mean())
        single.append(error.std())
    assert np.std(shared) == pytest.approx(np.hypot(common, own / np.sqrt(10)), rel=0.15)
    assert np.mean(single) == pytest.approx(own, rel=0.15, abs=0.01)
    assert np.mean(widths) == pytest.approx(1.0, rel=0.02)


@pytest.mark.parametrize("weight", [0.0, 9.0])
def test_scores_are_what_makes_the_expected_weighted_error_least(weight: float) -> None:
    options = {"foreground": (weight, weight), "noise": (0.0, 0.0), "level_spread": (1.0, 1.0)}
    scores = draw(**{**EXACT, **options, "common_error": (0.0, 0.0), "own_error": (0.0, 0.0)})
    row = int(np.flatnonzero(scores.classes == 11)[0])
    hill = np.exp(-0.5 * (np.arange(24) - 11.0) ** 2)
    belief = hill / hill.sum()
    answers = np.linspace(0, 1, 2001)[:, None]
    error = belief * (1 + weight) * (1 - answers) ** 2 + (1 - belief) * answers**2
    expected = answers[error.argmin(0), 0]
    found = scores.scores[row] / scores.scores[row, 11] * expected[11]
    np.testing.assert_allclose(found, expected, atol=2e-3)


def test_one_generator_gives_one_set() -> None:
    first, again, other = draw(7), draw(7), draw(8)
    np.testing.assert_array_equal(first.places, again.places)
    np.testing.assert_array_equal(first.scores, again.scores)
    assert first.places.shape != other.places.shape or not np.array_equal(first.places, other.places)


def test_other_levels_are_ignored_and_options_have_defaults() -> None:
    spine = np.concatenate([[[1.0, 0.0, 0.0, 0.0]], SPINE])
    classes = [draw_candidates(np.random.default_rng(s), spine, range(20, 26)).classes for s in range(20)]
    assert max(np.concatenate(classes)) <= 6
    with pytest.raises(ValueError, match="no disc of the levels 2 to 25"):
        draw_candidates(np.random.default_rng(0), spine[:1], LEVELS)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("least", 0),
        ("rotation", -1.0),
        ("scale", float("nan")),
        ("jitter", (2.0, 1.0)),
        ("strays", (1.0,)),
        ("doubles", (-1.0, 1.0)),
        ("level_spread", (0.0, 1.0)),
        ("missing", (0.0, 1.1)),
    ],
)
def test_bad_option_is_refused_by_its_name(option: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{option} must"):
        CandidateOptions(**{option: value})
