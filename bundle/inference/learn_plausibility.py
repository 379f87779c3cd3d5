"""Learning what results are plausible, from the results of training cases."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bundle.utils.digests import sha256_of_file
from bundle.utils.errors import FileError

from .plausibility import CROP, REGION, learn_distribution, write_distributions

logger = logging.getLogger(__name__)


def learn_plausibility(results: Sequence[Path], checkpoint: Path) -> Path:
    """Write the file of plausible results next to weights.

    The distribution of crops is learned from the results of crops; that of regions from those of regions and of crops.
    There is none of a kind without results.

    Args:
        results: output folders of ``inference.json``, run on the training cases with ``--measure_features true``,
            ``--plausible_distance null``, so that no result is removed, and for larger images ``--find_regions true``.
        checkpoint: weights of these results.

    Returns:
        The file.

    Raises:
        FileError: when the weights do not exist, or a folder has no features, too few, or those of other weights.
    """
    if not checkpoint.is_file():
        raise FileError(checkpoint, "does not exist", "name the file of weights that made the results")
    weights = sha256_of_file(checkpoint)
    found: dict[str, list[dict[str, float]]] = {CROP: [], REGION: []}
    for folder in results:
        for kind, features in _features_in(folder, weights):
            found[kind].append(features)
    sources = {CROP: found[CROP], REGION: found[REGION] and found[CROP] + found[REGION]}
    try:
        distributions = {kind: learn_distribution(features) for kind, features in sources.items() if features}
    except ValueError as error:
        raise FileError(", ".join(map(str, results)), str(error).rstrip("."), "add results of more cases") from error
    path = write_distributions(checkpoint, distributions)
    logger.info("%s: learned from %d crops and %d regions", path, len(found[CROP]), len(found[REGION]))
    for kind in distributions:
        distances = sorted(distributions[kind].distance(features) for features in found[kind])
        logger.info(
            "distances of the %ss: median %.1f, greatest %.1f", kind, distances[len(distances) // 2], distances[-1]
        )
    return path


def _features_in(folder: Path, weights: str) -> Iterator[tuple[str, dict[str, float]]]:
    """Yield kind and features of every result in a folder."""
    count = 0
    for path in sorted(folder.glob("*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        entries = _entries_of(record)
        if entries and (record["checkpoint"] or {}).get("sha256") != weights:
            raise FileError(path, "is a result of other weights", "run the inference with the weights of --checkpoint")
        for kind, entry in entries:
            count += 1
            yield kind, entry["features"]
    if not count:
        raise FileError(
            folder,
            "has no results with features",
            "run inference.json with --measure_features true and this output_dir",
        )


def _entries_of(record: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return kind and entry of every result with features in the JSON of a completed case; none of another file."""
    if "error" in record:
        return []
    crops = [(CROP, record["plausibility"])] if "plausibility" in record else []
    regions = [(REGION, region) for region in record.get("regions", ()) if "features" in region]
    return crops + regions
