"""Metrics of the labeled discs of one exam, found against known.

Two questions are asked apart. *Is this level where it should be?* compares discs of the same level: identification and
the errors of a level. *Are the discs found, whatever they are called?* compares the nearest: one-to-one matching,
misses and inventions. Their difference, the levels of matched discs, tells shifts such as off-by-one.

Points are world mm, RAS+. Where a threshold is named, it is met by distances below it. Definitions: identification of
a level within 20 mm, nearest to it, as in VerSe (Sekuboyina et al., Medical Image Analysis 73, 2021); misses (FN) and
inventions (FP) at 5 mm, per reference and per prediction, as in Rouhier et al., arXiv 2003.04387, but one to one.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from .discs.disc_points import Disc

Points = Mapping[int, Sequence[float]] | Iterable[Disc] | np.ndarray
"""Points by level; discs; or an array ``(n, 4)``: value, R, A, S."""

DOWN = (0.0, 0.0, -1.0)
PARTS = ("mm", "in_plane_mm", "along_mm", "is_mm")
"""Of an offset: its length, its length in the sagittal plane, its part along the spine, its part from I to S."""
ERRORS = tuple(f"error_{part}" for part in PARTS)
DISTANCES = tuple(f"distance_{part}" for part in PARTS)
LEVEL_METRICS = ("referenced", "predicted", *ERRORS, "identified", "identified_far", "matched_level", *DISTANCES)
DISC_METRICS = (
    "references",
    "predictions",
    "identification_rate",
    "identification_rate_far",
    "false_negatives",
    "false_positives",
    "fnr",
    "fpr",
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
    """The discs of one exam against their reference.

    Attributes:
        metrics: by the names of ``DISC_METRICS``: ``references`` and ``predictions`` count the discs (without those
            that cannot be judged); ``identification_rate`` is the share of references whose own level lies within the
            tolerance, ``identification_rate_far`` of those whose own level lies within the reach and has no other
            reference nearer; ``false_negatives`` and ``fnr`` (per reference), ``false_positives`` and ``fpr`` (per
            prediction) are of the one-to-one matching within the tolerance; the distances are of the matching within
            the reach, whatever the level; ``shift`` is what more than half of these matches have as predicted minus
            known level; ``off_by_one`` is 1 where that is one, up or down; ``level_right`` is 1 where all matched
            discs have their own level, and 0 where no disc was matched; ``reversed`` is 1 where the levels run against
            the spine. What is not defined is NaN: rates of nothing, distances and shift without a match.
        levels: by the value of every level that is known or predicted, the names of ``LEVEL_METRICS``: the errors of
            the prediction of that very level, and level and distance of the prediction that the reference is matched
            to within the reach.
        missed: for every reference, whether it is a false negative.
        invented: for every prediction that can be judged, whether it is a false positive.
    """

    metrics: dict[str, float]
    levels: dict[int, dict[str, float]]
    missed: np.ndarray
    invented: np.ndarray


def compare_discs(
    pred: Points,
    reference: Points,
    *,
    complete: bool = True,
    tolerance_mm: float = 5.0,
    reach_mm: float = 20.0,
    in_plane: bool = False,
) -> DiscComparison:
    """Compare the discs found in an exam with those known.

    A labeling whose levels run from foot to head along the spine identifies nothing, though a disc in its middle may
    have the right level by accident.

    Args:
        pred: discs found.
        reference: discs known.
        complete: whether the reference names every disc in view. Otherwise, a prediction beyond the first or the last
            known disc that matches none is neither right nor wrong; it is left out.
        tolerance_mm: distance below which a disc is found.
        reach_mm: distance below which a disc may be meant at all.
        in_plane: measure these two distances in the sagittal plane (A, S), not in space.

    Raises:
        ValueError: when a level stands twice in one of the lists, or a point has not three coordinates.
    """
    found, known = points_by_level(pred), points_by_level(reference)
    p, g = _stack(found), _stack(known)
    tangents = spine_tangents(g)
    distances = _distances(g[:, 1:] if in_plane else g, p[:, 1:] if in_plane else p)
    near, far = match_points(distances, tolerance_mm), match_points(distances, reach_mm)
    against = runs_upward(found, g)
    missed, invented = np.ones(len(g), bool), np.ones(len(p), bool)
    missed[near[0]], invented[near[1]] = False, False
    if not complete:
        invented = invented[~(invented & _beyond(p, g, tangents, tolerance_mm))]

    levels = {value: dict.fromkeys(LEVEL_METRICS, math.nan) for value in sorted({*found, *known})}
    _add_errors(levels, found, known, tangents)
    _add_identification(levels, found, known, distances, (tolerance_mm, reach_mm), against)
    _add_matches(levels, found, known, tangents, far)
    metrics = {
        **_rates(levels, missed, invented),
        **_matched_distances(levels),
        **_level_agreement(list(found), list(known), far, against),
    }
    return DiscComparison(metrics, levels, missed, invented)


def points_by_level(points: Points) -> dict[int, np.ndarray]:
    """Return the points ``(3,)`` by value, sorted by value, without those that are not finite.

    Raises:
        ValueError: when a value stands twice, or a point has not three coordinates.
    """
    if isinstance(points, Mapping):
        pairs = [(int(value), position) for value, position in points.items()]
    elif isinstance(points, np.ndarray):
        pairs = [(round(float(row[0])), row[1:]) for row in points]
    else:
        pairs = [(disc.value, disc.position) for disc in points]
    twice = [value for value, count in Counter(value for value, _ in pairs).items() if count > 1]
    if twice:
        raise ValueError(f"every level may have one point; the levels {sorted(twice)} have several. Keep one of each.")
    result = {value: np.asarray(position, dtype=float) for value, position in sorted(pairs, key=lambda pair: pair[0])}
    if any(position.shape != (3,) for position in result.values()):
        raise ValueError("a point needs three coordinates, R, A and S in mm.")
    return {value: position for value, position in result.items() if np.isfinite(position).all()}


def match_points(distances: np.ndarray, limit: float) -> tuple[np.ndarray, np.ndarray]:
    """Match references and predictions one to one.

    The sum over all references of the distance, but at most ``limit``, is least; only pairs below ``limit`` are kept.
    So a disc that is missed at one end and one invented at the other do not push the matches between them along.

    Args:
        distances: ``(references, predictions)``.
        limit: in the unit of the distances.

    Returns:
        The indices of the matched references, and those of their predictions.
    """
    rows, columns = linear_sum_assignment(np.minimum(distances, limit))
    close = distances[rows, columns] < limit
    return rows[close], columns[close]


def spine_tangents(positions: np.ndarray) -> np.ndarray:
    """Return the unit directions ``(n, 3)`` to the foot at points ``(n, 3)`` from head to foot.

    The direction at a point is that between its neighbors; at the ends, that to the only one. Where there is none, it
    is straight down.
    """
    tangents = np.gradient(positions, axis=0) if len(positions) > 1 else np.zeros_like(positions)
    lengths = np.linalg.norm(tangents, axis=1, keepdims=True)
    return np.where(lengths > 0, tangents / np.where(lengths > 0, lengths, 1), DOWN)


def runs_upward(found: Mapping[int, np.ndarray], reference: np.ndarray) -> bool:
    """Tell whether higher levels lie further up: along the line from the first to the last known disc, or along S."""
    axis = reference[-1] - reference[0] if len(reference) > 1 else np.array(DOWN)
    values = np.array(list(found), dtype=float)
    along = _stack(found) @ axis
    return bool(len(values) > 1 and (values - values.mean()) @ (along - along.mean()) < 0)


def _stack(points: Mapping[int, np.ndarray]) -> np.ndarray:
    return np.array(list(points.values()), dtype=float).reshape(-1, 3)


def _distances(reference: np.ndarray, pred: np.ndarray) -> np.ndarray:
    return np.linalg.norm(reference[:, None] - pred[None], axis=-1)


def _parts(offset: np.ndarray, tangent: np.ndarray) -> tuple[float, ...]:
    along, inferior_superior = abs(offset @ tangent), abs(offset[2])
    return float(np.linalg.norm(offset)), float(np.linalg.norm(offset[1:])), float(along), float(inferior_superior)


def _beyond(pred: np.ndarray, reference: np.ndarray, tangents: np.ndarray, limit: float) -> np.ndarray:
    """Tell which predictions lie above the first or below the last reference."""
    if not len(reference):
        return np.ones(len(pred), bool)
    above = (pred - reference[0]) @ -tangents[0]
    below = (pred - reference[-1]) @ tangents[-1]
    return np.maximum(above, below) >= limit


def _add_errors(
    levels: dict[int, dict[str, float]],
    found: Mapping[int, np.ndarray],
    known: Mapping[int, np.ndarray],
    tangents: np.ndarray,
) -> None:
    for value, row in levels.items():
        row.update(referenced=float(value in known), predicted=float(value in found))
    for value, tangent in zip(known, tangents, strict=True):
        if value in found:
            levels[value].update(zip(ERRORS, _parts(found[value] - known[value], tangent), strict=True))


def _add_identification(
    levels: dict[int, dict[str, float]],
    found: Mapping[int, np.ndarray],
    known: Mapping[int, np.ndarray],
    distances: np.ndarray,
    limits: tuple[float, float],
    against: bool,
) -> None:
    columns = {value: column for column, value in enumerate(found)}
    for index, value in enumerate(known):
        near = far = False
        if value in columns and not against:
            to_pred = distances[:, columns[value]]
            near = bool(to_pred[index] < limits[0])
            far = bool(to_pred[index] < limits[1] and to_pred[index] == to_pred.min())
        levels[value].update(identified=float(near), identified_far=float(far))


def _add_matches(
    levels: dict[int, dict[str, float]],
    found: Mapping[int, np.ndarray],
    known: Mapping[int, np.ndarray],
    tangents: np.ndarray,
    matches: tuple[np.ndarray, np.ndarray],
) -> None:
    names, partners = list(known), list(found)
    for row, column in zip(*matches, strict=True):
        value, partner = names[row], partners[column]
        parts = _parts(found[partner] - known[value], tangents[row])
        levels[value].update(zip(DISTANCES, parts, strict=True), matched_level=float(partner))


def _rates(levels: Mapping[int, Mapping[str, float]], missed: np.ndarray, invented: np.ndarray) -> dict[str, float]:
    return {
        "references": float(len(missed)),
        "predictions": float(len(invented)),
        "identification_rate": _mean(_defined(levels, "identified")),
        "identification_rate_far": _mean(_defined(levels, "identified_far")),
        "false_negatives": float(missed.sum()),
        "false_positives": float(invented.sum()),
        "fnr": _mean(missed),
        "fpr": _mean(invented),
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
    found: Sequence[int], known: Sequence[int], matches: tuple[np.ndarray, np.ndarray], against: bool
) -> dict[str, float]:
    shifts = [found[column] - known[row] for row, column in zip(*matches, strict=True)]
    result = {"shift": math.nan, "off_by_one": math.nan, "level_right": math.nan, "reversed": float(against)}
    if shifts:
        shift, count = Counter(shifts).most_common(1)[0]
        common = 2 * count > len(shifts)
        result["shift"] = float(shift) if common else math.nan
        result["off_by_one"] = float(common and abs(shift) == 1)
    if known:
        result["level_right"] = float(bool(shifts) and not any(shifts) and not against)
    return result


def _defined(levels: Mapping[int, Mapping[str, float]], name: str) -> np.ndarray:
    values = np.array([row[name] for row in levels.values()], dtype=float)
    return values[~np.isnan(values)]


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else math.nan
