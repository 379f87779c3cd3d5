"""The skeleton prior: mean relative positions of the discs in the sagittal plane.

The prior of the original system takes the first disc of an image as origin and the distance of the first to the fifth
as unit, so it needs both in every image (https://arxiv.org/abs/2108.06554, code). Here the mean skeleton is fitted by
scale and translation to the discs that a case shows: ``point = scale * mean + shift + residual``, by least squares,
alternating over the means and over the cases (Procrustes analysis without rotation, with missing points).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bundle.utils.errors import FileError

logger = logging.getLogger(__name__)

FORMAT = "keyslice-disc-skeleton"
MAX_ITERATIONS = 500
LAST_THORACIC, LAST_LUMBAR = 19, 24
"""The discs T11-T12 and L4-L5, at which the number of thoracic or lumbar vertebrae varies."""
TOLERANCE = 1e-7
"""The fit has converged when no mean moves by more than this, in mm."""


class SkeletonFileError(FileError):
    """A file that is not a skeleton prior.

    Args:
        file: the file.
        problem: what is wrong with it.
    """

    def __init__(self, file: str | Path, problem: str) -> None:
        super().__init__(file, problem, "write one with SkeletonPrior.fit(...).save(FILE)")


@dataclass(frozen=True, eq=False)
class SkeletonPrior:
    """Mean positions of the discs in the sagittal plane, up to scale and translation.

    Attributes:
        levels: level values, ascending.
        means: ``(L, 2)``, A and S in mm of the mean body (the geometric mean of the cases' scales is 1), centered.
        spread: ``(L, 2)``, root mean square along A and S of the residuals of the cases, in mm of the mean body.
        counts: cases per level; 0 for a level interpolated between its neighbors.
        source: what the prior was fitted to.
        gap_spread: ``(L - 1,)``, root mean square of the residuals of the distance from each level to the next, in mm
            of the mean body; None for a prior of an earlier version, without this term.

    Examples:
        >>> case = np.array([[20.0, 0.0, 1.0, 0.0], [21.0, 0.0, 2.0, -32.0], [23.0, 0.0, 1.0, -98.0]])
        >>> prior = SkeletonPrior.fit([case], source="one spine")
        >>> prior.levels, prior.counts
        ((20, 21, 22, 23), (1, 1, 0, 1))
    """

    levels: tuple[int, ...]
    means: np.ndarray
    spread: np.ndarray
    counts: tuple[int, ...]
    source: str = ""
    gap_spread: np.ndarray | None = None

    def __post_init__(self) -> None:
        size = (len(self.levels), 2)
        if self.means.shape != size or self.spread.shape != size or len(self.counts) != len(self.levels):
            raise ValueError(
                f"a skeleton of {len(self.levels)} levels needs means and spread {size} and as many counts."
            )
        if not (np.isfinite(self.means).all() and np.isfinite(self.spread).all() and (self.spread >= 0).all()):
            raise ValueError("means and spread of a skeleton must be finite, and its spread not negative.")
        if len(self.levels) < 2 or any(b <= a for a, b in zip(self.levels, self.levels[1:], strict=False)):
            raise ValueError(f"a skeleton needs two levels or more, ascending, got {list(self.levels)}.")
        if (np.diff(self.means[:, 1]) >= 0).any():
            raise ValueError(
                "the discs of a skeleton must follow each other downward: S must decrease from level to level."
            )
        gaps = self.gap_spread
        if gaps is not None and (gaps.shape != (size[0] - 1,) or not (np.isfinite(gaps) & (gaps >= 0)).all()):
            raise ValueError(f"the gap spread of a skeleton needs {size[0] - 1} finite numbers, not negative.")

    @classmethod
    def fit(cls, cases: Iterable[np.ndarray], *, source: str = "") -> SkeletonPrior:
        """Fit the mean skeleton to point sets, each of which may show any levels.

        Cases of fewer than two levels are skipped. A level between others that no case shows is interpolated linearly;
        the prior does not extend above or below the levels of the cases. Cases that share one level with the rest are
        joined there in their own size; cases that share none are skipped.

        Args:
            cases: arrays ``(n, 4)`` of value, R, A, S in mm.
            source: description of the cases, kept in the file.

        Raises:
            ValueError: when no case has two levels, or a case is not ``(n, 4)``, repeats a level, or runs upside down.
        """
        tables = [np.asarray(case, dtype=float) for case in cases]
        for number, table in enumerate(tables):
            check_case(table, f"case {number} of the skeleton")
        tables = [table for table in tables if len(table) > 1]
        if not tables:
            raise ValueError("a skeleton needs a case with two or more discs, there is none.")
        levels = np.unique(np.concatenate([table[:, 0] for table in tables]).round().astype(int))
        points = np.full((len(tables), len(levels), 2), np.nan)
        for row, table in zip(points, tables, strict=True):
            row[np.searchsorted(levels, table[:, 0].round())] = table[:, 2:]
        means, joined = _join_cases(points)
        if not joined.all():
            logger.warning("cases skipped because they share no level with the others: %d", int((~joined).sum()))
        seen = np.isfinite(means[:, 0])
        used = points[joined][:, seen]
        means, spread = _alternate(used, means[seen])
        filled = cls._filled(levels[seen], means, spread, np.isfinite(used[..., 0]).sum(0), source)
        return replace(filled, gap_spread=_gap_spread(used, means, levels[seen]))

    @classmethod
    def _filled(
        cls, levels: np.ndarray, means: np.ndarray, spread: np.ndarray, counts: np.ndarray, source: str
    ) -> SkeletonPrior:
        """Interpolate the levels between others that no case shows."""
        every = np.arange(levels[0], levels[-1] + 1)
        full = [
            np.stack([np.interp(every, levels, values[:, axis]) for axis in (0, 1)], 1) for values in (means, spread)
        ]
        number = np.zeros(len(every), dtype=int)
        number[levels - levels[0]] = counts
        return cls(tuple(every.tolist()), full[0] - full[0].mean(0), full[1], tuple(number.tolist()), source)

    def with_counts(self, *, thoracic: int = 12, lumbar: int = 5) -> SkeletonPrior:
        """Return the prior of a spine with other numbers of vertebrae than 12 thoracic and 5 lumbar ones.

        Levels are numbered from the head to the last vertebra of a region and from the sacrum upward to L1: with 11
        thoracic or 4 lumbar vertebrae, T11-T12 or L4-L5 is missing. The disc next to a thirteenth thoracic or sixth
        lumbar vertebra has no number, so the gap T11-T12 to T12-L1 or L4-L5 to L5-S1 is one of two discs.

        Args:
            thoracic: 11, 12 or 13.
            lumbar: 4, 5 or 6.

        Raises:
            ValueError: for other numbers.
        """
        if thoracic not in (11, 12, 13) or lumbar not in (4, 5, 6):
            raise ValueError(f"vertebrae must be 11 to 13 thoracic and 4 to 6 lumbar ones, got {thoracic}, {lumbar}.")
        prior = self
        for value, change in ((LAST_THORACIC, thoracic - 12), (LAST_LUMBAR, lumbar - 5)):
            prior = prior._with_change(value, change) if change else prior
        return prior

    def _with_change(self, value: int, change: int) -> SkeletonPrior:
        """Return the prior with the disc of a value removed (change -1), or another one below it (1)."""
        if not {value - 1, value, value + 1} <= set(self.levels):
            return self
        row = self.levels.index(value)
        kept = [other for other in range(len(self.levels)) if other != row or change > 0]
        means, gaps = self.means.copy(), self.gap_spread
        if change > 0:
            means[row + 1 :] += self.means[row + 1] - self.means[row]
            widened = None if gaps is None else np.where(np.arange(len(gaps)) == row, gaps * np.sqrt(2), gaps)
        else:
            means[row + 1 :] -= self.means[row] - self.means[row - 1]
            widened = None if gaps is None else np.delete(gaps, row - 1)
        levels, counts = (tuple(values[other] for other in kept) for values in (self.levels, self.counts))
        return SkeletonPrior(levels, means[kept], self.spread[kept], counts, self.source, widened)

    def save(self, path: str | Path) -> None:
        """Write the prior as JSON."""
        rows = zip(self.levels, self.means.tolist(), self.spread.tolist(), self.counts, strict=True)
        discs = [{"value": v, "mean": mean, "spread": spread, "cases": n} for v, mean, spread, n in rows]
        if self.gap_spread is not None:
            for disc, spread in zip(discs[:-1], self.gap_spread.tolist(), strict=True):
                disc["gap_spread"] = spread
        content = {"format": FORMAT, "axes": "AS", "unit": "mm", "source": self.source, "discs": discs}
        Path(path).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> SkeletonPrior:
        """Read a prior that :meth:`save` wrote.

        Raises:
            SkeletonFileError: when the file is missing or holds no skeleton.
        """
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise SkeletonFileError(path, f"cannot be read as JSON ({error})") from error
        return cls.of_content(content, path)

    @classmethod
    def of_content(cls, content: Any, path: str | Path) -> SkeletonPrior:
        """Return the prior of the content of a file that :meth:`save` wrote.

        Args:
            content: the JSON.
            path: where it is from, for the error.

        Raises:
            SkeletonFileError: when it holds no skeleton.
        """
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise SkeletonFileError(path, f'is not a skeleton prior (it lacks "format": "{FORMAT}")')
        try:
            discs = content["discs"]
            means, spread = (np.array([disc[key] for disc in discs], dtype=float) for key in ("mean", "spread"))
            values, counts = (tuple(int(disc[key]) for disc in discs) for key in ("value", "cases"))
            gaps = [float(disc["gap_spread"]) for disc in discs[:-1]] if "gap_spread" in discs[0] else None
            gap_spread = None if gaps is None else np.array(gaps)
            return cls(values, means, spread, counts, str(content.get("source", "")), gap_spread)
        except (IndexError, KeyError, TypeError, ValueError) as error:
            raise SkeletonFileError(path, f"holds an invalid skeleton ({error})") from error


def align(means: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return scale ``(n,)`` and shift ``(n, 2)`` of the least squares fit ``scale * means + shift`` to points.

    Args:
        means: ``(L, 2)``.
        points: ``(n, L, 2)``, NaN where a case does not show a level; two or more levels per case.
    """
    present = np.isfinite(points)
    weight = present / present.sum(1, keepdims=True)
    middle = (weight * means).sum(1)
    center = np.where(present, points, 0.0)
    center = (weight * center).sum(1)
    model = np.where(present, means - middle[:, None], 0.0)
    data = np.where(present, points - center[:, None], 0.0)
    scale = (model * data).sum((1, 2)) / (model**2).sum((1, 2))
    return scale, center - scale[:, None] * middle


def check_case(points: np.ndarray, name: str) -> None:
    """Check that points can be a case of a skeleton.

    Args:
        points: ``(n, 4)``, value, R, A and S in mm.
        name: what messages call the case.

    Raises:
        ValueError: when they have another shape, are not finite, repeat a level or do not run downward.
    """
    if points.ndim != 2 or points.shape[1] != 4 or not np.isfinite(points).all():
        raise ValueError(f"{name} must be (n, 4) of value, R, A, S, got shape {points.shape}.")
    order = np.argsort(points[:, 0])
    if (np.diff(points[order, 0]) < 1).any():
        raise ValueError(f"{name} has a level twice: {points[order, 0].tolist()}.")
    if (np.diff(points[order, 3]) >= 0).any():
        raise ValueError(f"{name} does not run downward: S must decrease from level to level.")


def _join_cases(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return initial means ``(L, 2)``, joined case by case from the most complete one, and which could be joined."""
    present = np.isfinite(points[..., 0])
    means = np.full(points.shape[1:], np.nan)
    joined = np.zeros(len(points), dtype=bool)
    shared = present.sum(1)
    while not joined.all() and shared[~joined].max() > 0:
        case = int(np.argmax(np.where(joined, -1, shared)))
        fitted = np.isfinite(means[:, 0])
        both = fitted & present[case]
        scale, shift = 1.0, np.zeros(2)
        if both.sum() > 1:
            scales, shifts = align(means[both], points[case][None, both])
            scale, shift = float(scales[0]), shifts[0]
        elif both.any():
            shift = points[case][both][0] - means[both][0]
        new = present[case] & ~fitted
        means[new] = (points[case][new] - shift) / scale
        joined[case] = True
        shared = (present & np.isfinite(means[:, 0])).sum(1)
    return means, joined


def _alternate(points: np.ndarray, means: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the means and the spread after alternating least squares."""
    present = np.isfinite(points)
    for _ in range(MAX_ITERATIONS):
        before = means
        scale, shift = align(means, points)
        weight = np.where(present, (scale**2)[:, None, None], 0.0)
        fitted = np.where(present, (points - shift[:, None]) / scale[:, None, None], 0.0)
        means = (weight * fitted).sum(0) / weight.sum(0)
        means = (means - means.mean(0)) * np.exp(np.log(scale).mean())
        if np.abs(means - before).max() < TOLERANCE:
            break
    scale, shift = align(means, points)
    rest = np.where(present, (points - shift[:, None]) / scale[:, None, None] - means, 0.0)
    return means, np.sqrt((rest**2).sum(0) / present.sum(0))


def _gap_spread(points: np.ndarray, means: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Return the spread of the distance from each level to the next, from the first level to the last.

    Gaps that no case shows get an interpolated spread; if no case shows any gap, that of two independent discs.
    """
    scale, shift = align(means, points)
    fitted = (points - shift[:, None]) / scale[:, None, None]
    rest = np.linalg.norm(np.diff(fitted, axis=1), axis=2) - np.linalg.norm(np.diff(means, axis=0), axis=1)
    rest = rest[:, np.diff(levels) == 1]
    count = np.isfinite(rest).sum(0)
    known = levels[:-1][np.diff(levels) == 1][count > 0]
    every = np.arange(levels[0], levels[-1])
    if not len(known):
        apart = np.where(np.isfinite(points), fitted - means, np.nan)
        return np.full(len(every), np.sqrt(2 * np.nanmean(apart[..., 1] ** 2)))
    rest = rest[:, count > 0]
    return np.interp(every, known, np.sqrt(np.nansum(rest**2, 0) / count[count > 0]))
