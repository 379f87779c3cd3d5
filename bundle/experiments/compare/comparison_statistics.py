"""Statistics of a comparison: means over cases, paired differences to the reference, and their uncertainty.

The case is the unit. A case is held out in one fold; its value is the mean over the seeds. A difference is taken within
a case, a structure and a seed, between two trainings that started with the same weights and saw the same patches, and
is then averaged over the seeds. What is not defined (a structure that neither prediction nor reference has, a distance
to a structure that was not found) is ignored on both sides of a difference.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.stats import permutation_test

from bundle.metrics.bootstrap import mean_interval

from .comparison_options import REFERENCE

METRICS = ("dice", "hd95_mm")
MEAN = "mean"
"""The mean over the structures of a case."""

GAIN, LOSS, NOTHING = "gain", "loss", "no difference shown"
RESAMPLES = 9999


def summarize(results: Sequence[Mapping[str, Any]], names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return what a comparison shows, by mechanism.

    Args:
        results: results of the runs, see :func:`bundle.experiments.compare.comparison_runs.run_one`.
        names: the mechanisms, the reference among them.

    Returns:
        By mechanism: ``parameters``; ``seconds_per_epoch`` and ``cpu_seconds_per_epoch``, the medians over the runs;
        ``runs``; for Dice and HD95 and for every structure and their mean, ``value`` and, against the reference,
        ``difference``, each a mean with a 95 % interval; ``by_seed``, the differences of mean Dice of every seed, and
        ``seed_sd``, their standard deviation; ``pairs``, in how many of all pairs of trainings (fold and seed) mean
        Dice was better; ``p`` and ``p_holm`` of the differences of mean Dice; ``shown``, a gain, a loss or neither, by
        structure.
    """
    tables = {metric: collect(results, names, metric) for metric in METRICS}
    structures = [*_distinct(results, "structure"), MEAN]
    seeds = sorted({result["seed"] for result in results})
    content = {name: _summarize_one(name, results, tables, structures, seeds) for name in names}
    compared = [name for name in names if name != REFERENCE]
    corrected = holm({name: content[name]["p"] for name in compared})
    for name in compared:
        content[name]["p_holm"] = corrected[name]
    return content


def collect(results: Sequence[Mapping[str, Any]], names: Sequence[str], metric: str) -> dict[str, np.ndarray]:
    """Arrange one metric by mechanism as ``(seeds, cases, structures + 1)``, the mean over structures last.

    What was not run or is not defined is NaN.
    """
    cases, structures = _distinct(results, "case"), _distinct(results, "structure")
    seeds = sorted({result["seed"] for result in results})
    tables = {name: np.full((len(seeds), len(cases), len(structures) + 1), math.nan) for name in names}
    for result in results:
        table = tables[result["attention"]][seeds.index(result["seed"])]
        for row in result["rows"]:
            if row[metric] is not None:
                table[cases.index(row["case"]), structures.index(row["structure"])] = row[metric]
    for table in tables.values():
        table[..., -1] = _mean(table[..., :-1], -1)
    return tables


def sign_flip_p(differences: Sequence[float], *, seed: int = 0) -> float:
    """Return the two-sided p-value of a mean difference of zero, by a permutation test that flips signs.

    Exact for up to 13 differences, else from random flips. Undefined differences are ignored; NaN for fewer than two.
    """
    defined = np.array([value for value in differences if not math.isnan(value)], dtype=float)
    if len(defined) < 2:
        return math.nan
    rng = np.random.default_rng(seed)
    return float(
        permutation_test((defined,), np.mean, permutation_type="samples", n_resamples=RESAMPLES, rng=rng).pvalue
    )


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Correct p-values for their number by the step-down method of Holm (Scand. J. Statist. 6, 1979); NaN stays NaN."""
    order = sorted((name for name, p in p_values.items() if not math.isnan(p)), key=lambda name: p_values[name])
    corrected, highest = dict.fromkeys(p_values, math.nan), 0.0
    for rank, name in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * p_values[name]))
        corrected[name] = highest
    return corrected


def shown(interval: Mapping[str, float | int]) -> str:
    """Return what the interval of a difference of Dice shows: a gain or a loss where it excludes 0."""
    if interval["low"] > 0:
        return GAIN
    return LOSS if interval["high"] < 0 else NOTHING


def _summarize_one(
    name: str,
    results: Sequence[Mapping[str, Any]],
    tables: Mapping[str, Mapping[str, np.ndarray]],
    structures: Sequence[str],
    seeds: Sequence[int],
) -> dict[str, Any]:
    own = [result for result in results if result["attention"] == name]
    content: dict[str, Any] = {
        "parameters": own[0]["parameters"] if own else None,
        **{f"{kind}_per_epoch": _median(own, kind) for kind in ("seconds", "cpu_seconds")},
        "runs": len(own),
        "value": {metric: _intervals(table[name], structures) for metric, table in tables.items()},
    }
    if name == REFERENCE:
        return content
    differences = {metric: _difference(table[name], table[REFERENCE]) for metric, table in tables.items()}
    content["difference"] = {metric: _intervals(table, structures) for metric, table in differences.items()}
    content["shown"] = {structure: shown(interval) for structure, interval in content["difference"]["dice"].items()}
    mean_dice = differences["dice"][..., -1]
    by_seed = _mean(mean_dice, 1)
    content["by_seed"] = dict(zip(map(str, seeds), by_seed.tolist(), strict=True))
    content["seed_sd"] = _deviation(by_seed)
    content["pairs"] = _pairs(results, mean_dice)
    content["p"] = sign_flip_p(_mean(mean_dice, 0).tolist())
    return content


def _pairs(results: Sequence[Mapping[str, Any]], differences: np.ndarray) -> dict[str, int]:
    """Count the pairs of trainings, one per fold and seed, and those with a positive mean ``(seeds, cases)``."""
    fold_of = {row["case"]: result["fold"] for result in results for row in result["rows"]}
    folds = np.array([fold_of[case] for case in _distinct(results, "case")])
    means = np.array([_mean(differences[:, folds == fold], 1) for fold in sorted(set(fold_of.values()))])
    return {"better": int((means > 0).sum()), "all": int((~np.isnan(means)).sum())}


def _difference(table: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Subtract structure by structure; the mean is over the structures that both have."""
    difference = table - reference
    difference[..., -1] = _mean(difference[..., :-1], -1)
    return difference


def _median(results: Sequence[Mapping[str, Any]], kind: str) -> float | None:
    return float(np.median([result[kind] / result["epochs"] for result in results])) if results else None


def _intervals(table: np.ndarray, structures: Sequence[str]) -> dict[str, dict[str, float | int]]:
    """Average over the seeds, then give mean and interval over the cases, by structure."""
    by_case = _mean(table, 0)
    return {structure: mean_interval(by_case[:, index].tolist()) for index, structure in enumerate(structures)}


def _mean(values: np.ndarray, axis: int) -> np.ndarray:
    """Return the mean of the defined values along an axis, NaN where there is none."""
    defined = ~np.isnan(values)
    count = defined.sum(axis)
    total = np.where(defined, values, 0).sum(axis)
    return np.where(count > 0, total / np.maximum(count, 1), math.nan)


def _deviation(values: np.ndarray) -> float:
    defined = values[~np.isnan(values)]
    return float(defined.std(ddof=1)) if len(defined) > 1 else math.nan


def _distinct(results: Sequence[Mapping[str, Any]], key: str) -> list[str]:
    """Return the cases or structures of all runs, in the order of their first appearance."""
    return list(dict.fromkeys(row[key] for result in results for row in result["rows"]))
