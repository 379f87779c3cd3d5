from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from bundle.tasks.spine.discs import skeleton_search as search
from bundle.tasks.spine.discs.peak_candidates import Candidates
from bundle.tasks.spine.discs.skeleton import SkeletonPrior
from bundle.tasks.spine.discs.skeleton_search import SkeletonMatch, anchored_search, search_skeleton

OPTIONS: dict[str, Any] = {
    "scale_range": (0.6, 1.6),
    "missing": 6.0,
    "confidence_weight": 6.0,
    "min_gap": 4.0,
    "min_spread": 4.0,
    "min_gap_spread": 3.0,
}


def make_prior(count: int, rng: np.random.Generator, first: int = 10) -> SkeletonPrior:
    means = np.stack([rng.normal(0, 8, count), -np.cumsum(rng.uniform(15, 35, count))], 1)
    spread, gaps = rng.uniform(2, 9, (count, 2)), rng.uniform(1, 6, count - 1)
    return SkeletonPrior(tuple(range(first, first + count)), means, spread, (1,) * count, gap_spread=gaps)


def make_candidates(prior: SkeletonPrior, most: int, rng: np.random.Generator) -> list[Candidates]:
    """Return up to ``most`` candidates a channel: near the disc, near a neighbor's, anywhere."""
    shape = prior.means * rng.uniform(0.7, 1.4) + rng.normal(0, 50, 2)
    found = []
    for channel in range(len(shape)):
        rows = []
        for _ in range(rng.integers(0, most + 1)):
            near = shape[np.clip(channel + rng.integers(-1, 2), 0, len(shape) - 1)]
            rows.append(near + rng.normal(0, 4, 2) if rng.random() < 0.8 else rng.uniform(-80, 40, 2))
        found.append(Candidates(np.array(rows).reshape(-1, 2), rng.uniform(0.1, 1, len(rows))))
    return found


def in_order(choice: tuple, found: list[Candidates], min_gap: float) -> bool:
    heights = [found[c].positions[i, 1] for c, i in enumerate(choice) if i is not None]
    return all(upper - lower >= min_gap and upper > lower for upper, lower in itertools.pairwise(heights))


def cost_of(choice: tuple, found: list[Candidates], prior: SkeletonPrior, o: dict) -> float:
    """Return the cost as it is defined: every pair of taken discs as anchors, the least sum counts."""
    taken = [c for c, i in enumerate(choice) if i is not None]
    points = {c: found[c].positions[choice[c]] for c in taken}
    base = sum(o["confidence_weight"] * (1 - found[c].confidence[choice[c]]) for c in taken)
    base += o["missing"] * (len(choice) - len(taken))
    if len(taken) < 2:
        return base
    costs = [np.inf]
    for a, b in itertools.combinations(taken, 2):
        scale = np.linalg.norm(points[b] - points[a]) / np.linalg.norm(prior.means[b] - prior.means[a])
        if o["scale_range"] and not o["scale_range"][0] <= scale <= o["scale_range"][1]:
            continue
        shift = points[a] - scale * prior.means[a]
        rests = {c: (points[c] - shift - scale * prior.means[c]) / scale for c in taken}
        shape = sum(((rests[c] / np.maximum(prior.spread[c], o["min_spread"])) ** 2).sum() for c in taken)
        costs.append(base + shape + gap_cost(points, scale, prior, o))
    return min(costs)


def gap_cost(points: dict[int, np.ndarray], scale: float, prior: SkeletonPrior, o: dict) -> float:
    """Return the cost of the distances of consecutive discs."""
    if prior.gap_spread is None:
        return 0.0
    total = 0.0
    for upper, lower in itertools.pairwise(sorted(points)):
        seen = np.linalg.norm(points[lower] - points[upper]) / scale
        expected = np.linalg.norm(prior.means[lower] - prior.means[upper])
        variance = sum(max(prior.gap_spread[c], o["min_gap_spread"]) ** 2 for c in range(upper, lower))
        total += (seen - expected) ** 2 / variance
    return total


def brute_force(found: list[Candidates], prior: SkeletonPrior, o: dict) -> float:
    """Return the least cost over all choices of one candidate or none a channel."""
    choices = itertools.product(*[[None, *range(len(c))] for c in found])
    kept = (c for c in choices if any(i is not None for i in c) and in_order(c, found, o["min_gap"]))
    return min((cost_of(choice, found, prior, o) for choice in kept), default=o["missing"] * len(found))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"scale_range": None, "min_gap": 0.0},
        {"missing": 2.0, "min_gap": 12.0},
        {"confidence_weight": 0.0, "min_spread": 1.0},
        {"scale_range": (0.95, 1.05), "missing": 20.0},
    ],
)
def test_the_search_equals_brute_force_over_all_choices_and_anchors(options: dict) -> None:
    rng = np.random.default_rng(len(str(options)))
    o = OPTIONS | options
    for _ in range(100):
        prior = make_prior(int(rng.integers(2, 6)), rng)
        found = make_candidates(prior, 3, rng)
        match = search_skeleton(found, prior.levels, prior, **o)
        assert match.cost == pytest.approx(brute_force(found, prior, o), abs=1e-9)
        assert in_order(match.choice, found, o["min_gap"])
        assert match.cost == pytest.approx(cost_of(match.choice, found, prior, o), abs=1e-9)


def test_the_search_equals_brute_force_on_ties_and_candidates_on_one_spot() -> None:
    """Positions on a coarse grid and equal confidence: many choices cost the same."""
    rng = np.random.default_rng(1)
    for _ in range(100):
        count = int(rng.integers(2, 6))
        means = np.stack([np.zeros(count), -16.0 * np.arange(count)], 1)
        prior = SkeletonPrior(tuple(range(count)), means, np.full((count, 2), 8.0), (1,) * count)
        places = [rng.integers(-3, 1, (rng.integers(0, 4), 2)) * [4.0, 16.0] for _ in range(count)]
        found = [Candidates(p, np.full(len(p), 0.5)) for p in places]
        match = search_skeleton(found, prior.levels, prior, **OPTIONS)
        assert match.cost == pytest.approx(brute_force(found, prior, OPTIONS), abs=1e-9)
        assert match.cost == pytest.approx(cost_of(match.choice, found, prior, OPTIONS), abs=1e-9)
        twice = [Candidates(np.repeat(c.positions, 2, 0), np.repeat(c.confidence, 2)) for c in found]
        doubled = search_skeleton(twice, prior.levels, prior, **OPTIONS)
        assert doubled.choice == tuple(None if i is None else 2 * i for i in match.choice)


def test_the_result_does_not_depend_on_how_the_work_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    cases = []
    for _ in range(20):
        prior = make_prior(9, rng)
        found = make_candidates(prior, 5, rng)
        cases.append((found, prior, search_skeleton(found, prior.levels, prior)))
    monkeypatch.setattr(search, "CHUNK", 7)
    monkeypatch.setattr(search, "FIRST_BATCH", 1)
    for found, prior, match in cases:
        again = search_skeleton(found, prior.levels, prior)
        assert (again.choice, again.anchors) == (match.choice, match.anchors)
        assert again.cost == pytest.approx(match.cost, abs=1e-9)


def planted(prior: SkeletonPrior, scale: float = 1.2, confidence: float = 0.9) -> list[Candidates]:
    return [Candidates(scale * mean[None] + [7.0, -30.0], np.array([confidence])) for mean in prior.means]


def test_a_planted_spine_is_found_with_its_scale() -> None:
    prior = make_prior(11, np.random.default_rng(3))
    match = search_skeleton(planted(prior), prior.levels, prior)
    assert match.choice == (0,) * 11
    assert match.scale == pytest.approx(1.2)
    assert match.cost == pytest.approx(11 * 20 * 0.1)
    assert len(match.anchors) == 2


def test_two_channels_on_one_disc_give_one_disc() -> None:
    """The channel below fires on the same disc, with less confidence."""
    prior = make_prior(6, np.random.default_rng(4))
    found = planted(prior)
    found[3] = Candidates(found[2].positions, np.array([0.6]))
    match = search_skeleton(found, prior.levels, prior)
    assert match.choice == (0, 0, 0, None, 0, 0)


def test_without_first_and_fifth_disc_the_others_are_still_found() -> None:
    prior = make_prior(11, np.random.default_rng(5))
    found = planted(prior)
    for channel in (0, 4):
        found[channel] = Candidates(np.zeros((0, 2)), np.zeros(0))
    found[0] = Candidates(np.array([[90.0, 90.0]]), np.array([0.2]))
    match = search_skeleton(found, prior.levels, prior)
    assert match.choice == (None, 0, 0, 0, None, 0, 0, 0, 0, 0, 0)


def test_a_single_disc_gets_the_level_of_the_most_confident_channel() -> None:
    prior = make_prior(4, np.random.default_rng(6))
    spot = np.array([[3.0, 4.0]])
    found = [Candidates(spot, np.array([value])) for value in (0.2, 0.3, 0.6, 0.4)]
    assert search_skeleton(found, prior.levels, prior) == SkeletonMatch((None, None, 0, None), pytest.approx(68))


def test_no_candidate_gives_no_disc() -> None:
    prior = make_prior(3, np.random.default_rng(7))
    nothing = [Candidates(np.zeros((0, 2)), np.zeros(0))] * 3
    assert search_skeleton(nothing, prior.levels, prior) == SkeletonMatch((None,) * 3, 60.0)


def test_channels_that_are_not_in_the_prior_have_no_disc() -> None:
    prior = make_prior(3, np.random.default_rng(8), first=5)
    found = planted(prior)
    stray = Candidates(np.zeros((1, 2)), np.ones(1))
    match = search_skeleton([stray, *found, stray], [4, 5, 6, 7, 8], prior)
    assert match.choice == (None, 0, 0, 0, None)
    assert match.anchors == (1, 2)
    assert match.cost == pytest.approx(search_skeleton(found, prior.levels, prior).cost)
    assert search_skeleton([stray], [4], prior).choice == (None,)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scale_range": (0.0, 1.0)}, "scale_range"),
        ({"scale_range": (2.0, 1.0)}, "scale_range"),
        ({"scale_range": (1.0,)}, "scale_range"),
        ({"missing": -1.0}, "missing=-1"),
        ({"confidence_weight": -1.0}, "confidence_weight=-1"),
        ({"min_gap": -1.0}, "min_gap=-1"),
        ({"min_spread": 0.0}, "min_spread=0"),
        ({"levels": [10, 11]}, "an ascending level for each of 3"),
        ({"levels": [10, 12, 11]}, "an ascending level for each of 3"),
    ],
)
def test_bad_options_are_named(options: dict, message: str) -> None:
    prior = make_prior(3, np.random.default_rng(9))
    with pytest.raises(ValueError, match=message):
        search_skeleton(planted(prior), **{"levels": prior.levels, "prior": prior} | options)


def product_loop(places: list[np.ndarray], means: np.ndarray) -> tuple[tuple[int, ...], float]:
    """The original's loop over all combinations, with its units and its norm."""
    best: tuple[tuple[int, ...], float] = ((), np.inf)
    for choice in itertools.product(*[range(len(p)) for p in places]):
        points = np.array([p[i] for p, i in zip(places, choice, strict=True)])
        unit = np.linalg.norm(points[0] - points[4])
        if unit > 0:
            cost = float(np.linalg.norm(means - (points - points[0]) / unit))
            best = (choice, cost) if cost < best[1] else best
    return best


def test_the_anchored_search_equals_the_loop_over_the_product() -> None:
    rng = np.random.default_rng(10)
    for _ in range(40):
        count = int(rng.integers(5, 8))
        means = np.stack([rng.normal(0, 0.1, count), np.arange(count) / 4], 1)
        means -= means[0]
        places = [rng.normal(0, 9, (rng.integers(1, 4), 2)) + 80 * means[i] for i in range(count)]
        expected = product_loop(places, means)
        choice, cost = anchored_search(places, means)
        assert choice == expected[0]
        assert cost == pytest.approx(expected[1])


def test_of_equal_candidates_the_anchored_search_takes_the_first_and_skips_anchors_on_one_spot() -> None:
    means = np.stack([np.zeros(5), np.arange(5) / 4], 1)
    places = [np.repeat(20 * mean[None], 2, 0) for mean in means]
    places[4] = np.concatenate([places[0][:1], places[4]])
    choice, cost = anchored_search(places, means)
    assert choice == (0, 0, 0, 0, 1)
    assert cost == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("places", "message"),
    [
        ([np.zeros((1, 2))] * 4, "without one: the anchors"),
        ([np.zeros((1, 2))] * 2 + [np.zeros((0, 2))] + [np.zeros((1, 2))] * 2, r"without one: \[2\]"),
        ([np.zeros((2, 2))] * 5, "there is no scale"),
    ],
)
def test_what_the_anchored_search_cannot_solve_is_refused(places: list[np.ndarray], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        anchored_search(places, np.zeros((5, 2)))
