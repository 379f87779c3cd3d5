"""Whether a color image is like the training images, by the means of a feature of the network."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from .case_findings import CaseFindings
from .plausibility import IMAGE, Plausibility

logger = logging.getLogger(__name__)


def judge_image(
    means: Sequence[float], plausibility: Plausibility | None, *, file: str, writes_features: bool = False
) -> CaseFindings:
    """Return the entry of the JSON and, of an image unlike the training images, a flag, which is logged.

    Args:
        means: means of the channels of the feature, see :class:`bundle.inference.FeatureDistanceInferer`.
        plausibility: knows the training images; None for nothing.
        file: file of the image.
        writes_features: whether the entry has the means.
    """
    features = {f"channel_{number}": round(value, 5) for number, value in enumerate(means)}
    distance, problem, limit = None, None, None
    if plausibility is not None:
        limit = plausibility.limit
        distance, problem = plausibility.judge(IMAGE, features)
    entry: dict[str, Any] = {
        "kind": IMAGE,
        "plausible": None if distance is None or limit is None else problem is None,
        "distance": distance,
        "limit": limit,
    }
    findings = CaseFindings(results={"plausibility": entry})
    if writes_features:
        entry["features"] = features
    if problem is not None:
        words = f"the image is unlike the training images: distance {distance:g}, limit {limit:g}"
        findings.flags.append(words)
        logger.warning("%s: %s", file, words)
    return findings
