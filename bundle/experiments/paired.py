"""Paired comparison of two evaluations of the same cases, such as those of two tools."""

from __future__ import annotations

import csv
import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bundle.experiments.compare.comparison_statistics import MEAN, sign_flip_p
from bundle.metrics.bootstrap import format_interval, mean_interval
from bundle.metrics.ranking import ScoreCounts
from bundle.utils.write_json import write_json

from .experiment_options import ExperimentError

logger = logging.getLogger(__name__)

TABLE = "metrics.csv"
GROUPS = ("structure", "class")
"""Columns by which the rows of a case are told apart; the levels of discs are averaged."""

TEXTS = ("case", "structure", "class", "group", "level", "name", "positive")
MISSING = ("", "nan", "None")
RESAMPLES = 2000
FEW = 5
"""Cases below which an interval is not to be relied on."""

Rows = dict[tuple[str, str], list[dict[str, str]]]


def compare_evaluations(first: str | Path, second: str | Path, output_dir: str | Path | None = None) -> dict[str, Any]:
    """Compare the ``metrics.csv`` of two evaluations case by case.

    The unit is the case. Of segmentations and discs every metric is compared by its mean difference, first minus
    second, with a 95 % bootstrap interval and a test that flips signs; of classes the area under the ROC curve (AUC) by
    resampling of the cases.

    Args:
        first: folder of an evaluation.
        second: folder of another one.
        output_dir: folder for ``paired.json``; None to write nothing.

    Returns:
        ``cases``, the number in both; ``only_first`` and ``only_second``, the names of the others; ``metrics`` by
        structure and metric: ``first`` and ``second``, the means over the pairs, ``difference``, its interval, and
        ``p``.

    Raises:
        ExperimentError: when a table cannot be read, or the two have no case, structure or metric in common, or other
            labels of a class.
    """
    a, b = _read(Path(first)), _read(Path(second))
    cases = [sorted({case for case, _ in rows}) for rows in (a, b)]
    shared = sorted(set(cases[0]) & set(cases[1]))
    if not shared:
        raise ExperimentError(f"{first} and {second} have no case in common; evaluate the same dataset with both.")
    structures = [name for name in dict.fromkeys(name for _, name in a) if any(key[1] == name for key in b)]
    if not structures:
        raise ExperimentError(f"{first} and {second} have no structure or class in common; name them alike in both.")
    if any("probability" in row for rows in a.values() for row in rows):
        metrics = {name: {"auc": _compare_areas(a, b, shared, name)} for name in structures}
    else:
        metrics = _compare_means(a, b, shared, structures)
    content = {
        "first": str(first),
        "second": str(second),
        "cases": len(shared),
        "only_first": sorted(set(cases[0]) - set(shared)),
        "only_second": sorted(set(cases[1]) - set(shared)),
        "metrics": metrics,
    }
    _log(content)
    if output_dir is not None:
        write_json(Path(output_dir) / "paired.json", content)
        logger.info("wrote %s", Path(output_dir) / "paired.json")
    return content


def _read(folder: Path) -> Rows:
    """Return the rows of an evaluation by case and structure."""
    path = folder / TABLE if folder.is_dir() else folder
    try:
        with open(path, newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        found: Rows = {}
        for row in rows:
            if None in row or None in row.values():
                raise ExperimentError(
                    f"{path}: the row of {row['case']!r} and the header differ in length; correct it."
                )
            group = next((row[name] for name in GROUPS if name in row), MEAN)
            found.setdefault((row["case"], group), []).append(row)
    except (OSError, KeyError, UnicodeDecodeError) as error:
        raise ExperimentError(f"{path}: is not the table of an evaluation ({error!r}); pass its output_dir.") from error
    return found


def _compare_means(a: Rows, b: Rows, cases: Sequence[str], structures: Sequence[str]) -> dict[str, Any]:
    columns = [name for name in next(iter(a.values()))[0] if name not in TEXTS]
    columns = [name for name in columns if name in next(iter(b.values()))[0]]
    columns = [name for name in columns if all(_is_metric(rows, name) for rows in (a, b))]
    if not structures or not columns:
        raise ExperimentError("the two evaluations have no structure or no metric in common.")
    found: dict[str, dict[str, Any]] = {}
    pairs: dict[str, list[np.ndarray]] = {metric: [] for metric in columns}
    for structure in structures:
        for metric in columns:
            values = [[_mean(rows.get((case, structure), []), metric) for case in cases] for rows in (a, b)]
            pairs[metric].append(np.array(values))
            found.setdefault(structure, {})[metric] = _pair(*pairs[metric][-1])
    if len(structures) > 1:
        found[MEAN] = {metric: _pair(*_over_structures(tables)) for metric, tables in pairs.items()}
    return found


def _is_metric(rows: Rows, column: str) -> bool:
    """Return whether a column holds numbers; another one is logged."""
    for (case, _), found in rows.items():
        for row in found:
            if not _is_number(row[column]):
                logger.warning("%s: not compared, since it holds %r in the case %s", column, row[column], case)
                return False
    return True


def _is_number(text: str) -> bool:
    """Return whether a cell is a number, or states that there is none."""
    try:
        float(text or "nan")
    except ValueError:
        return text in MISSING
    return True


def _over_structures(tables: Sequence[np.ndarray]) -> np.ndarray:
    """Return the mean ``(2, cases)`` over the structures that both define in a case."""
    stacked = np.stack(tables)
    defined = ~np.isnan(stacked).any(axis=1, keepdims=True)
    count = defined.sum(axis=0)
    return np.where(count > 0, np.where(defined, stacked, 0).sum(axis=0) / np.maximum(count, 1), math.nan)


def _pair(first: np.ndarray, second: np.ndarray) -> dict[str, Any]:
    defined = ~(np.isnan(first) | np.isnan(second))
    difference = (first - second)[defined].tolist()
    return {
        "first": float(first[defined].mean()) if difference else math.nan,
        "second": float(second[defined].mean()) if difference else math.nan,
        "difference": mean_interval(difference),
        "p": sign_flip_p(difference),
    }


def _mean(rows: Sequence[Mapping[str, str]], metric: str) -> float:
    values = [float(row[metric]) for row in rows if row[metric] not in MISSING]
    return sum(values) / len(values) if values else math.nan


def _compare_areas(a: Rows, b: Rows, cases: Sequence[str], name: str) -> dict[str, Any]:
    """Compare two areas under the ROC curve, with a percentile interval over resamples of the cases."""
    known = [case for case in cases if (case, name) in a and (case, name) in b]
    labels, others = (np.array([int(rows[case, name][0]["label"]) for case in known]) for rows in (a, b))
    if (labels != others).any():
        case = known[int(np.argmax(labels != others))]
        raise ExperimentError(f"{name}: {case} has another label in the two evaluations; evaluate the same dataset.")
    scores = [np.array([float(rows[case, name][0]["probability"]) for case in known]) for rows in (a, b)]
    areas = [ScoreCounts.of(values, labels).auc() for values in scores]
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(RESAMPLES):
        places = rng.integers(len(known), size=len(known))
        if 0 < labels[places].sum() < len(known):
            first, second = (ScoreCounts.of(values[places], labels[places]).auc() for values in scores)
            drawn.append(first - second)
    low, high = np.percentile(drawn, [2.5, 97.5]).tolist() if drawn else (math.nan, math.nan)
    difference = {"mean": areas[0] - areas[1], "low": low, "high": high, "n": len(known)}
    return {"first": areas[0], "second": areas[1], "difference": difference, "p": None}


def _log(content: Mapping[str, Any]) -> None:
    logger.info("first: %s, second: %s, %d cases in both", content["first"], content["second"], content["cases"])
    for name in ("only_first", "only_second"):
        if content[name]:
            logger.warning("%s: %d cases, such as %s", name, len(content[name]), content[name][0])
    for structure, metrics in content["metrics"].items():
        for metric, found in metrics.items():
            difference = format_interval(found["difference"], signed=True)
            logger.info(
                "%s, %s: %.4f and %.4f, difference %s", structure, metric, found["first"], found["second"], difference
            )
    if content["cases"] < FEW:
        logger.warning("%d cases are too few for an interval: it says little about other cases", content["cases"])
