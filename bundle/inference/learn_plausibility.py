"""Learning what results are plausible, from the results of training cases."""

from __future__ import annotations

import csv
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bundle.utils.digests import sha256_of_file
from bundle.utils.errors import FileError

from .plausibility import CROP, IMAGE, REGION, FeatureDistribution, Reference, learn_distribution, write_reference
from .quality_estimate import learn_quality
from .reference_numbers import Numbers, learn_ranges, result_numbers, structure_of

logger = logging.getLogger(__name__)

METRICS = "metrics.csv"
FEWEST = 3
"""Fewest results from which the distribution of their numbers is learned."""


@dataclass
class _Results:
    """What the folders of runs hold: features by kind, and numbers of structures without the names of regions."""

    features: dict[str, list[dict[str, float]]] = field(default_factory=lambda: {CROP: [], REGION: [], IMAGE: []})
    numbers: list[Numbers] = field(default_factory=list)
    scored: dict[str, list[tuple[dict[str, float], float]]] = field(default_factory=dict)


def learn_plausibility(results: Sequence[Path], checkpoint: Path, *, out_of_fold: Sequence[Path] = ()) -> Path:
    """Write the file of plausible results next to weights.

    The distribution of the features of crops is learned from the results of crops; that of regions from those of
    regions and of crops. There is none of a kind without results. The distribution of every number, by which unusual
    results are flagged, is learned from all completed cases, and the estimate of the Dice from the folders of an
    evaluation. On the cases that it was trained on, a network is surer and better than on others, so that an estimate
    from them is too high; ``out_of_fold`` are evaluations to learn it from instead.

    Args:
        results: output folders of ``inference.json``, run on the training cases with ``--measure_features true``, and
            for volumes ``--plausible_distance null``, so that no result is removed, for larger ones also
            ``--find_regions true``;
            or of ``evaluate.json``, run with ``--save_labels true`` (volumes) or ``--save_masks true`` (images).
        checkpoint: weights of these results.
        out_of_fold: output folders of ``evaluate.json``, run with ``--save_labels true``, by networks of the same kind
            that were not trained on the evaluated cases, such as those of the folds of a cross-validation.

    Returns:
        The file.

    Raises:
        FileError: when the weights do not exist, or a folder has no results, too few, or those of other weights.
    """
    if not checkpoint.is_file():
        raise FileError(checkpoint, "does not exist", "name the file of weights that made the results")
    weights = sha256_of_file(checkpoint)
    found = _Results()
    for folder in results:
        _read_folder(folder, weights, found)
    unseen = _Results()
    for folder in out_of_fold:
        _read_folder(folder, None, unseen)
    try:
        distributions = _learn_features(found.features)
        if not distributions and len(found.numbers) < FEWEST:
            raise ValueError(f"at least {FEWEST} results are needed, got {len(found.numbers)}.")
    except ValueError as error:
        raise FileError(", ".join(map(str, results)), str(error).rstrip("."), "add results of more cases") from error
    scored = unseen.scored if out_of_fold else found.scored
    estimates = {name: learn_quality(*zip(*pairs, strict=True)) for name, pairs in scored.items()}
    quality = {name: estimate for name, estimate in estimates.items() if estimate is not None}
    ranges = learn_ranges(found.numbers) if len(found.numbers) >= FEWEST else {}
    path = write_reference(checkpoint, Reference(distributions, ranges, quality))
    features = found.features
    logger.info(
        "%s: numbers learned from %d results, features learned from %d crops, %d regions and %d images",
        path,
        len(found.numbers),
        *(len(features[kind]) for kind in (CROP, REGION, IMAGE)),
    )
    for kind, distribution in distributions.items():
        distances = sorted(distribution.distance(each) for each in features[kind])
        logger.info(
            "distances of the %ss: median %.1f, greatest %.1f", kind, distances[len(distances) // 2], distances[-1]
        )
    for name, estimate in quality.items():
        logger.info(
            "Dice of %s from %d cases, leave-one-out: rank correlation %.2f, error %.3f",
            name,
            estimate.cases,
            estimate.rank_correlation,
            estimate.error,
        )
    return path


def _learn_features(found: Mapping[str, list[dict[str, float]]]) -> dict[str, FeatureDistribution]:
    sources = {**found, REGION: found[REGION] and found[CROP] + found[REGION]}
    return {kind: learn_distribution(features) for kind, features in sources.items() if features}


def _read_folder(folder: Path, weights: str | None, found: _Results) -> None:
    """Add the results of a folder, of weights of this SHA-256; None takes any."""
    dice, count = _read_dice(folder / METRICS), 0
    for path in sorted(folder.glob("*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(record, dict) or "checkpoint" not in record or "error" in record:
            continue
        if weights is not None and (record["checkpoint"] or {}).get("sha256") != weights:
            raise FileError(path, "is a result of other weights", "run the inference with the weights of --checkpoint")
        entries, results = _entries_of(record), result_numbers(record)
        count += bool(entries or results)
        for kind, entry in entries:
            found.features[kind].append(entry["features"])
        regions = list(record.get("volumes_mm3", ()))
        for name, numbers in results.items():
            found.numbers.append({structure_of(name, regions): numbers})
            reached = dice.get((record["case"], name))
            if reached is not None:
                found.scored.setdefault(name, []).append((numbers, reached))
    if not count:
        raise FileError(
            folder,
            "has no results with features or numbers",
            "run inference.json with --measure_features true, or evaluate.json with --save_labels true, in this folder",
        )


def _read_dice(path: Path) -> dict[tuple[str, str], float]:
    """Return the Dice by case and structure of an evaluation; none without its table, or of a structure in neither."""
    if not path.is_file():
        return {}
    with open(path, newline="", encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream) if "dice" in row]
    found = {(row["case"], row["structure"]): float(row["dice"]) for row in rows if row["dice"]}
    return {key: value for key, value in found.items() if value == value}


def _entries_of(record: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return kind and entry of every result with features in the JSON of a completed case."""
    entry = record.get("plausibility", {})
    cases = [(entry.get("kind", CROP), entry)] if entry.get("features") else []
    regions = [(REGION, region) for region in record.get("regions", ()) if "features" in region]
    return cases + regions
