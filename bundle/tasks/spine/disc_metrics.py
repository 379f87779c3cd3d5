"""Metrics of the labeled discs of one exam against a reference.

There are two kinds. Metrics of labeling compare discs of the same level: identification and the errors of a level.
Metrics of detection compare the nearest discs, whatever their level: one-to-one matching, false negatives and false
positives. The levels of matched discs show shifts such as off-by-one.

Points are world mm, RAS+. A distance must be below a threshold to meet it. Definitions: identification of a level
within 20 mm, nearest to it, as in VerSe (Sekuboyina et al., Medical Image Analysis 73, 2021); false negatives and false
positives at 5 mm, per reference and per prediction, as in Rouhier et al., arXiv 2003.04387, but one to one.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from bundle.utils.lengths import is_at_least, is_at_most, is_below

from .discs.disc_points import Disc
from .discs.levels import trained_level

Points = Mapping[int, Sequence[float]] | Iterable[Disc] | np.ndarray
"""Points by level; discs; or an array ``(n, 4)``: value, R, A, S."""

DOWN = (0.0, 0.0, -1.0)
COMPONENTS = ("mm", "in_plane_mm", "along_mm", "is_mm")
"""Of an offset: its length, its length in the sagittal plane, its components along the spine and along S."""
ERRORS = tuple(f"error_{name}" for name in COMPONENTS)
DISTANCES = tuple(f"distance_{name}" for name in COMPONENTS)
LEVEL_METRICS = ("referenced", "predicted", *ERRORS, "identified", "identified_far", "matched_level", *DISTANCES)
DISC_METRICS = (
    "references",
    "predictions",
    "identification_rate",
    "identification_rate_far",
    "false_negatives",
    "false_positives",
    "false_negative_rate",
    "false_positive_rate",
    "distance_median_mm",
    "distance_mean_mm",
    "distance_std_mm",
    "in_plane_median_mm",
    "along_mean_mm",
    "is_mean_mm",
    "shift",
    "off_by_one",
    "level_right",
    "reversed",
)


@dataclass(frozen=True)
class DiscComparison:
    """Comparison of the discs of one exam with their reference.

    Attributes:
        metrics: by the names of ``DISC_METRICS``: ``references`` and ``predictions`` are the numbers of discs (without
            predictions that cannot be evaluated); ``identification_rate`` is the fraction of references whose level is
            predicted within the tolerance, ``identification_rate_far`` of those whose level is predicted within the
            reach and not nearer to another reference; ``false_negatives`` and ``false_negative_rate`` (per reference),
            ``false_positives`` and ``false_positive_rate`` (per prediction) are of the one-to-one matching within the
            tolerance; the distances are of the matching within the reach, whatever the level; ``shift`` is the
            predicted minus the reference level of more than half of these matches; ``off_by_one`` is 1 if the shift is
            1 or -1; ``level_right`` is 1 if all matched discs have the level of their reference, and 0 if no disc was
            matched; ``reversed`` is 1 if the levels decrease along the spine. Undefined values are NaN: rates of no
            discs, distances and shift without a match.
        levels: by the value of every reference or predicted level, the names of ``LEVEL_METRICS``: the errors of the
            prediction of the same level, and level and distance of the prediction that is matched to the reference
            within the reach.
        false_negatives: for every reference, whether it is a false negative.
        false_positives: for every prediction that can be evaluated, whether it is a false positive.
    """

    metrics: dict[str, float]
    levels: dict[int, dict[str, float]]
    false_negatives: np.ndarray
    false_positives: np.ndarray


def compare_discs(
    pred: Points,
    reference: Points,
    *,
    complete: bool = True,
    tolerance_mm: float = 5.0,
    reach_mm: float = 20.0,
    in_plane: bool = False,
) -> DiscComparison:
    """Compare the predicted discs of an exam with the reference.

    A labeling whose levels run from foot to head along the spine identifies nothing, even if a disc in its middle has
    the right level by chance.

    Args:
        pred: predicted discs.
        reference: reference discs.
        complete: whether the reference has every disc in view. Otherwise, an unmatched prediction beyond the first or
            the last reference disc is neither true nor false; it is ignored.
        tolerance_mm: distance below which a disc is detected.
        reach_mm: distance below which a prediction is assigned to a disc.
        in_plane: measure these two distances in the sagittal plane (A, S), not in space.

    Raises:
        ValueError: when a level occurs twice in one of the lists, or a point does not have three coordinates.

    Examples:
        >>> reference = {20: (0, 0, 60), 21: (0, 0, 30), 22: (0, 0, 0)}
        >>> result = compare_discs({20: (0, 1, 61), 21: (0, 0, 28)}, reference)
        >>> round(result.metrics["identification_rate"], 3), result.false_negatives.tolist()
        (0.667, [False, False, True])
    """
    found, wanted = points_by_level(pred), points_by_level(reference)
    p, g = _stack(found), _stack(wanted)
    tangents = spine_tangents(g)
    distances = _distances(g[:, 1:] if in_plane else g, p[:, 1:] if in_plane else p)
    near, far = match_points(distances, tolerance_mm), match_points(distances, reach_mm)
    is_reversed = runs_upward(found, g)
    false_negatives, false_positives = np.ones(len(g), bool), np.ones(len(p), bool)
    false_negatives[near[0]], false_positives[near[1]] = False, False
    if not complete:
        false_positives = false_positives[~(false_positives & _is_beyond(p, g, tangents, tolerance_mm))]

    levels = {value: dict.fromkeys(LEVEL_METRICS, math.nan) for value in sorted({*found, *wanted})}
    _add_errors(levels, found, wanted, tangents)
    _add_identification(levels, found, wanted, distances, (tolerance_mm, reach_mm), is_reversed)
    _add_matches(levels, found, wanted, tangents, far)
    metrics = {
        **_rates(levels, false_negatives, false_positives),
        **_matched_distances(levels),
        **_level_agreement(list(found), list(wanted), far, is_reversed),
    }
    return DiscComparison(metrics, levels, false_negatives, false_positives)


def points_by_level(points: Points) -> dict[int, np.ndarray]:
    """Return the points ``(3,)`` by value, sorted by value, without those that are not finite.

    Discs next to T13 or L6 have the levels of :func:`bundle.tasks.spine.discs.levels.trained_level`: L6-S1 is compared
    with L5-S1, and L5-L6 is left out.

    Raises:
        ValueError: when a value occurs twice, or a point does not have three coordinates.
    """
    if isinstance(points, Mapping):
        pairs = [(int(value), position) for value, position in points.items()]
    elif isinstance(points, np.ndarray):
        pairs = [(round(float(row[0])), row[1:]) for row in points]
    else:
        pairs = [(disc.value, disc.position) for disc in points]
    pairs = [(level, position) for value, position in pairs if (level := trained_level(value)) is not None]
    twice = [value for value, count in Counter(value for value, _ in pairs).items() if count > 1]
    if twice:
        raise ValueError(f"every level may have one point, the levels {sorted(twice)} have several; keep one of each.")
    result = {value: np.asarray(position, dtype=float) for value, position in sorted(pairs, key=lambda pair: pair[0])}
    if any(position.shape != (3,) for position in result.values()):
        raise ValueError("a point needs three coordinates, R, A and S in mm.")
    return {value: position for value, position in result.items() if np.isfinite(position).all()}


def match_points(distances: np.ndarray, limit: float) -> tuple[np.ndarray, np.ndarray]:
    """Match references and predictions one to one.

    The sum over all references of the distance, clipped to ``limit``, is minimal; only pairs below ``limit`` are kept.
    So a false negative at one end and a false positive at the other do not shift the matches between them.

    Args:
        distances: ``(references, predictions)``.
        limit: in the unit of the distances.

    Returns:
        The indices of the matched references, and those of their predictions.
    """
    rows, columns = linear_sum_assignment(np.minimum(distances, limit))
    close = is_below(distances[rows, columns], limit)
    return rows[close], columns[close]


def spine_tangents(positions: np.ndarray) -> np.ndarray:
    """Return the unit directions ``(n, 3)`` towards the feet at points ``(n, 3)`` from head to foot.

    The direction at a point is that between its neighbors; at the ends, that to the only neighbor; for a single point,
    straight down.
    """
    tangents = np.gradient(positions, axis=0) if len(positions) > 1 else np.zeros_like(positions)
    lengths = np.linalg.norm(tangents, axis=1, keepdims=True)
    return np.where(lengths > 0, tangents / np.where(lengths > 0, lengths, 1), DOWN)


def runs_upward(found: Mapping[int, np.ndarray], reference: np.ndarray) -> bool:
    """Return whether levels increase upward, along the line from the first to the last reference disc, or along S."""
    axis = reference[-1] - reference[0] if len(reference) > 1 else np.array(DOWN)
    values = np.array(list(found), dtype=float)
    along = _stack(found) @ axis
    return bool(len(values) > 1 and (values - values.mean()) @ (along - along.mean()) < 0)


def _stack(points: Mapping[int, np.ndarray]) -> np.ndarray:
    return np.array(list(points.values()), dtype=float).reshape(-1, 3)


def _distances(reference: np.ndarray, pred: np.ndarray) -> np.ndarray:
    return np.linalg.norm(reference[:, None] - pred[None], axis=-1)


def _components(offset: np.ndarray, tangent: np.ndarray) -> tuple[float, ...]:
    along, inferior_superior = abs(offset @ tangent), abs(offset[2])
    return float(np.linalg.norm(offset)), float(np.linalg.norm(offset[1:])), float(along), float(inferior_superior)


def _is_beyond(pred: np.ndarray, reference: np.ndarray, tangents: np.ndarray, limit: float) -> np.ndarray:
    """Return which predictions are above the first or below the last reference."""
    if not len(reference):
        return np.ones(len(pred), bool)
    above = (pred - reference[0]) @ -tangents[0]
    below = (pred - reference[-1]) @ tangents[-1]
    return np.asarray(is_at_least(np.maximum(above, below), limit))


def _add_errors(
    levels: dict[int, dict[str, float]],
    found: Mapping[int, np.ndarray],
    wanted: Mapping[int, np.ndarray],
    tangents: np.ndarray,
) -> None:
    for value, row in levels.items():
        row.update(referenced=float(value in wanted), predicted=float(value in found))
    for value, tangent in zip(wanted, tangents, strict=True):
        if value in found:
            levels[value].update(zip(ERRORS, _components(found[value] - wanted[value], tangent), strict=True))


def _add_identification(
    levels: dict[int, dict[str, float]],
    found: Mapping[int, np.ndarray],
    wanted: Mapping[int, np.ndarray],
    distances: np.ndarray,
    limits: tuple[float, float],
    is_reversed: bool,
) -> None:
    columns = {value: column for column, value in enumerate(found)}
    for index, value in enumerate(wanted):
        near = far = False
        if value in columns and not is_reversed:
            to_pred = distances[:, columns[value]]
            near = bool(is_below(to_pred[index], limits[0]))
            far = bool(is_below(to_pred[index], limits[1]) and is_at_most(to_pred[index], to_pred.min()))
        levels[value].update(identified=float(near), identified_far=float(far))


def _add_matches(
    levels: dict[int, dict[str, float]],
    found: Mapping[int, np.ndarray],
    wanted: Mapping[int, np.ndarray],
    tangents: np.ndarray,
    matches: tuple[np.ndarray, np.ndarray],
) -> None:
    names, partners = list(wanted), list(found)
    for row, column in zip(*matches, strict=True):
        value, partner = names[row], partners[column]
        components = _components(found[partner] - wanted[value], tangents[row])
        levels[value].update(zip(DISTANCES, components, strict=True), matched_level=float(partner))


def _rates(
    levels: Mapping[int, Mapping[str, float]], false_negatives: np.ndarray, false_positives: np.ndarray
) -> dict[str, float]:
    return {
        "references": float(len(false_negatives)),
        "predictions": float(len(false_positives)),
        "identification_rate": _mean(_defined(levels, "identified")),
        "identification_rate_far": _mean(_defined(levels, "identified_far")),
        "false_negatives": float(false_negatives.sum()),
        "false_positives": float(false_positives.sum()),
        "false_negative_rate": _mean(false_negatives),
        "false_positive_rate": _mean(false_positives),
    }


def _matched_distances(levels: Mapping[int, Mapping[str, float]]) -> dict[str, float]:
    full, in_plane, along, inferior_superior = (_defined(levels, name) for name in DISTANCES)
    return {
        "distance_median_mm": float(np.median(full)) if len(full) else math.nan,
        "distance_mean_mm": _mean(full),
        "distance_std_mm": float(full.std()) if len(full) else math.nan,
        "in_plane_median_mm": float(np.median(in_plane)) if len(full) else math.nan,
        "along_mean_mm": _mean(along),
        "is_mean_mm": _mean(inferior_superior),
    }


def _level_agreement(
    found: Sequence[int], wanted: Sequence[int], matches: tuple[np.ndarray, np.ndarray], is_reversed: bool
) -> dict[str, float]:
    shifts = [found[column] - wanted[row] for row, column in zip(*matches, strict=True)]
    result = {"shift": math.nan, "off_by_one": math.nan, "level_right": math.nan, "reversed": float(is_reversed)}
    if shifts:
        shift, count = Counter(shifts).most_common(1)[0]
        common = 2 * count > len(shifts)
        result["shift"] = float(shift) if common else math.nan
        result["off_by_one"] = float(common and abs(shift) == 1)
    if wanted:
        result["level_right"] = float(bool(shifts) and not any(shifts) and not is_reversed)
    return result


def _defined(levels: Mapping[int, Mapping[str, float]], name: str) -> np.ndarray:
    values = np.array([row[name] for row in levels.values()], dtype=float)
    return values[~np.isnan(values)]


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else math.nan
