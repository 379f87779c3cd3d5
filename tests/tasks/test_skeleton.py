from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import least_squares

from bundle.tasks.spine.discs.skeleton import SkeletonFileError, SkeletonPrior, align

LEVELS = np.arange(18, 26)


def spine() -> np.ndarray:
    """Return positions (8, 2) of a curved spine, A and S."""
    return np.stack([12 * np.sin(np.arange(8) / 2), -np.cumsum(np.linspace(28, 36, 8))], 1)


def case(values: list[int], scale: float = 1.0, shift: tuple[float, float] = (0, 0), noise: float = 0.0) -> np.ndarray:
    shape = spine()[np.array(values) - 18] * scale + shift
    shape = shape + noise * np.random.default_rng(sum(values)).normal(size=shape.shape)
    return np.column_stack([values, np.full(len(values), 5.0), shape])


def same_shape(first: np.ndarray, second: np.ndarray) -> float:
    """Return the greatest distance of two shapes after scale and translation."""
    scale, shift = align(first, second[None])
    return float(np.abs(first * scale[0] + shift[0] - second).max())


def test_the_shape_is_recovered_from_cases_that_show_any_part_of_it() -> None:
    prior = SkeletonPrior.fit(
        [
            case([18, 19, 20, 22], 0.8, (3, 100)),
            case([20, 22, 23, 25], 1.1, (-40, 7)),
            case([21, 23, 24], 1.3, (0, -50)),
            case([25, 24, 19], 0.9),
        ],
        source="four cases",
    )
    assert prior.levels == tuple(LEVELS)
    assert prior.counts == (1, 2, 2, 1, 2, 2, 2, 2)
    assert same_shape(prior.means, spine()) < 1e-3
    assert prior.spread.max() < 1e-3
    np.testing.assert_allclose(prior.means.mean(0), 0, atol=1e-9)


def test_noisy_cases_get_the_fit_of_a_general_solver() -> None:
    """Residuals over all unknowns at once, by scipy."""
    cases = [case([18, 19, 20, 21], 0.9, noise=3), case([19, 20, 21, 22], 1.2, noise=3), case([18, 20, 22], noise=3)]
    prior = SkeletonPrior.fit(cases)

    def residuals(unknown: np.ndarray) -> np.ndarray:
        means, scale, shift = unknown[:10].reshape(5, 2), unknown[10:13], unknown[13:].reshape(3, 2)
        parts = [
            c[:, 2:] - s * means[c[:, 0].astype(int) - 18] - t for c, s, t in zip(cases, scale, shift, strict=True)
        ]
        return np.concatenate(parts).ravel()

    start = np.concatenate([spine()[:5].ravel(), np.ones(3), np.zeros(6)])
    solved = least_squares(residuals, start, xtol=1e-12, ftol=1e-12).x
    assert same_shape(prior.means, solved[:10].reshape(5, 2)) < 0.01
    aligned = [align(prior.means[c[:, 0].astype(int) - 18], c[None, :, 2:]) for c in cases]
    np.testing.assert_allclose(np.prod([s[0] for s, _ in aligned]), 1, atol=1e-6)
    rest = [
        np.column_stack([c[:, 0], (c[:, 2:] - t[0]) / s[0] - prior.means[c[:, 0].astype(int) - 18]])
        for c, (s, t) in zip(cases, aligned, strict=True)
    ]
    rows = np.concatenate(rest)
    expected = [np.sqrt((rows[rows[:, 0] == level][:, 1:] ** 2).mean(0)) for level in range(18, 23)]
    np.testing.assert_allclose(prior.spread, expected, atol=1e-6)


def test_a_level_that_no_case_shows_is_interpolated_and_counts_none() -> None:
    prior = SkeletonPrior.fit([case([19, 20, 23]), case([19, 20, 23], 1.2)])
    assert prior.levels == (19, 20, 21, 22, 23)
    assert prior.counts == (2, 2, 0, 0, 2)
    np.testing.assert_allclose(prior.means[2], prior.means[1] * 2 / 3 + prior.means[4] / 3)


def test_cases_that_share_one_level_are_joined_there_in_their_own_size() -> None:
    prior = SkeletonPrior.fit([case([18, 19, 20, 21]), case([21, 22, 23], shift=(90, 4))])
    assert same_shape(prior.means, spine()[:6]) < 1e-6


def test_cases_that_share_no_level_are_skipped_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        prior = SkeletonPrior.fit([case([18, 19, 20]), case([23, 24])])
    assert prior.levels == (18, 19, 20)
    assert "share no level with the others: 1" in caplog.text


def test_cases_with_fewer_than_two_discs_are_skipped() -> None:
    prior = SkeletonPrior.fit([case([18, 19]), case([25]), np.zeros((0, 4))])
    assert prior.levels == (18, 19)
    with pytest.raises(ValueError, match="two or more discs, there is none"):
        SkeletonPrior.fit([case([25])])


def test_a_fit_that_does_not_converge_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bundle.tasks.spine.discs.skeleton.MAX_ITERATIONS", 1)
    cases = [case([18, 19, 20, 21], 0.9, noise=3), case([19, 20, 21, 22], 1.2, noise=3)]
    assert np.isfinite(SkeletonPrior.fit(cases).means).all()


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (np.zeros((3, 3)), r"must be \(n, 4\)"),
        (np.full((3, 4), np.nan), r"must be \(n, 4\)"),
        (case([18, 19, 19]), "a level twice"),
        (case([18, 19]) * [1, 1, 1, -1], "does not run downward"),
    ],
)
def test_a_case_that_cannot_be_is_named(table: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=f"case 1 of the skeleton .*{message}"):
        SkeletonPrior.fit([case([18, 19]), table])


def test_a_prior_survives_its_file(tmp_path: Path) -> None:
    prior = SkeletonPrior.fit([case([18, 19, 22], noise=1), case([18, 19, 20], 1.3, noise=1)], source="two cases")
    prior.save(tmp_path / "skeleton.json")
    loaded = SkeletonPrior.load(tmp_path / "skeleton.json")
    assert (loaded.levels, loaded.counts, loaded.source) == (prior.levels, prior.counts, "two cases")
    np.testing.assert_array_equal(loaded.means, prior.means)
    np.testing.assert_array_equal(loaded.spread, prior.spread)
    np.testing.assert_array_equal(loaded.gap_spread, prior.gap_spread)
    content = json.loads((tmp_path / "skeleton.json").read_text())
    assert (content["unit"], content["axes"], content["discs"][0]["cases"]) == ("mm", "AS", 2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no json", "cannot be read"),
        ("[]", "is not a skeleton prior"),
        ('{"format": "other"}', "is not a skeleton prior"),
        ('{"format": "keyslice-disc-skeleton"}', "invalid skeleton"),
        ('{"format": "keyslice-disc-skeleton", "discs": [{"value": 3}]}', "invalid skeleton"),
        ('{"format": "keyslice-disc-skeleton", "discs": 3}', "invalid skeleton"),
        ('{"format": "keyslice-disc-skeleton", "discs": []}', "invalid skeleton"),
    ],
)
def test_a_file_that_is_not_a_prior_is_refused_with_a_remedy(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "skeleton.json"
    file.write_text(text)
    with pytest.raises(SkeletonFileError, match=f"skeleton.json: .*{message}.*SkeletonPrior.fit") as caught:
        SkeletonPrior.load(file)
    assert "SkeletonPrior.fit" in caught.value.remedy


def test_a_missing_file_is_named() -> None:
    with pytest.raises(SkeletonFileError, match=r"nowhere\.json: cannot be read"):
        SkeletonPrior.load("nowhere.json")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"means": np.zeros((2, 3))}, "needs means and spread"),
        ({"spread": np.zeros((1, 2))}, "needs means and spread"),
        ({"counts": (1,)}, "needs means and spread"),
        ({"means": np.array([[0, np.inf], [0, 0]])}, "must be finite"),
        ({"spread": np.full((2, 2), np.nan)}, "must be finite"),
        ({"spread": np.full((2, 2), -1.0)}, "not negative"),
        ({"levels": (3, 3)}, "ascending"),
        ({"means": np.zeros((2, 2))}, "follow each other downward"),
        ({"gap_spread": np.ones(2)}, "needs 1 finite numbers"),
        ({"gap_spread": np.array([-1.0])}, "needs 1 finite numbers"),
    ],
)
def test_an_impossible_skeleton_is_refused(change: dict, message: str) -> None:
    good = {"levels": (3, 4), "means": np.array([[0, 0], [0, -20.0]]), "spread": np.ones((2, 2)), "counts": (1, 1)}
    SkeletonPrior(**good)
    with pytest.raises(ValueError, match=message):
        SkeletonPrior(**good | change)


def test_the_spread_of_a_gap_is_that_of_the_distances_in_the_size_of_the_body() -> None:
    cases = [case([18, 19, 20, 21, 22], scale, noise=2) for scale in (0.8, 1.0, 1.2)]
    cases.append(case([20, 21, 22], 0.9, noise=1))
    prior = SkeletonPrior.fit(cases)
    expected = []
    for upper, lower in zip(prior.levels, prior.levels[1:], strict=False):
        rests = []
        for table in cases:
            rows = [prior.levels.index(value) for value in table[:, 0]]
            if {upper, lower} <= set(table[:, 0]):
                scale, _ = align(prior.means[rows], table[None, :, 2:])
                first, second = (table[table[:, 0] == value][0, 2:] for value in (upper, lower))
                means = prior.means[prior.levels.index(upper)] - prior.means[prior.levels.index(lower)]
                rests.append(np.linalg.norm(first - second) / scale[0] - np.linalg.norm(means))
        expected.append(np.sqrt(np.mean(np.square(rests))))
    np.testing.assert_allclose(prior.gap_spread, expected)


def test_the_spread_of_a_gap_that_no_case_shows_is_interpolated() -> None:
    prior = SkeletonPrior.fit([case([18, 19, 22, 23], scale, noise=2) for scale in (0.8, 1.1)])
    first, last = prior.gap_spread[0], prior.gap_spread[-1]
    np.testing.assert_allclose(prior.gap_spread, np.linspace(first, last, 5))
    lonely = SkeletonPrior.fit([case([18, 20], noise=2), case([18, 20], 1.2, noise=1)])
    assert lonely.gap_spread.shape == (2,)


def test_a_file_of_an_earlier_version_has_no_spread_of_gaps(tmp_path: Path) -> None:
    prior = SkeletonPrior.fit([case([18, 19, 20])])
    replace(prior, gap_spread=None).save(tmp_path / "skeleton.json")
    assert SkeletonPrior.load(tmp_path / "skeleton.json").gap_spread is None


def full_prior(gap_spread: np.ndarray | None) -> SkeletonPrior:
    means = np.column_stack([np.zeros(24), -np.cumsum(np.linspace(15, 35, 24))])
    return SkeletonPrior(tuple(range(2, 26)), means, np.full((24, 2), 5.0), (1,) * 24, gap_spread=gap_spread)


@pytest.mark.parametrize(("counts", "value"), [({"lumbar": 4}, 24), ({"thoracic": 11}, 19)])
@pytest.mark.parametrize("gap_spread", [None, np.arange(1.0, 24.0)])
def test_with_a_vertebra_less_its_disc_is_missing_and_the_others_close_up(
    counts: dict, value: int, gap_spread: np.ndarray | None
) -> None:
    prior = full_prior(gap_spread)
    changed, row = prior.with_counts(**counts), value - 2
    assert changed.levels == tuple(level for level in prior.levels if level != value)
    gap = changed.means[row - 1] - changed.means[row]
    np.testing.assert_allclose(gap, prior.means[row] - prior.means[row + 1])
    assert (changed.gap_spread is None) == (gap_spread is None)
    if gap_spread is not None:
        assert changed.gap_spread[row - 1] == prior.gap_spread[row]


@pytest.mark.parametrize(("counts", "value"), [({"lumbar": 6}, 24), ({"thoracic": 13}, 19)])
@pytest.mark.parametrize("gap_spread", [None, np.arange(1.0, 24.0)])
def test_with_a_vertebra_more_a_gap_is_that_of_two_discs(
    counts: dict, value: int, gap_spread: np.ndarray | None
) -> None:
    prior = full_prior(gap_spread)
    changed, row = prior.with_counts(**counts), value - 2
    assert changed.levels == prior.levels
    np.testing.assert_allclose(
        changed.means[row] - changed.means[row + 1], 2 * (prior.means[row] - prior.means[row + 1])
    )
    if gap_spread is not None:
        np.testing.assert_allclose(changed.gap_spread[row], prior.gap_spread[row] * np.sqrt(2))


def test_usual_counts_and_levels_out_of_the_prior_change_nothing() -> None:
    prior = full_prior(None)
    assert prior.with_counts() is prior
    short = SkeletonPrior.fit([case([20, 21, 22])])
    assert short.with_counts(lumbar=4, thoracic=13) is short
    with pytest.raises(ValueError, match="11 to 13 thoracic and 4 to 6 lumbar ones, got 12, 7"):
        prior.with_counts(lumbar=7)
