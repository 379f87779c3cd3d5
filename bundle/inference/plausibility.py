"""Whether the result of a network is plausible, by comparison with the results of its training cases."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bundle.utils.digests import sha256_of_file
from bundle.utils.errors import FileError
from bundle.utils.parse_null import parse_null
from bundle.utils.path_options import check_path_options
from bundle.utils.write_json import write_json

from .quality_estimate import QualityEstimate
from .reference_numbers import NumberRange, flag, result_numbers, structure_of

logger = logging.getLogger(__name__)

CROP, REGION, IMAGE = "crop", "region", "image"
"""What is judged: the result of a volume that is the crop of one region, that of a region that was found in a larger
volume, and a color image itself."""

ENDING = "_plausibility.json"
"""End of the name of the file next to the weights: ``model.pt`` has ``model_plausibility.json``."""

NO_DISTANCE = 1e6
"""Distance of a result without a labeled voxel."""

RELATIVE_NOISE = 0.1
"""Standard deviation of independent noise that is added to every feature, relative to its own."""

NOTHING_LABELED = "nothing is labeled"
"""Why a result without a labeled voxel is not plausible."""

NOT_JUDGED = (
    "the result was not judged: no plausible results of these weights are known; python -m bundle plausibility learns "
    "them from the training cases"
)
"""Remark on the results of weights whose training cases are unknown."""

NAMED = 3
"""Features named in a message."""


@dataclass(frozen=True)
class FeatureDistribution:
    """Normal distribution of the features of plausible results.

    Attributes:
        cases: number of results.
        names: names of the features.
        mean: their means.
        covariance: their covariance matrix.
    """

    cases: int
    names: list[str]
    mean: list[float]
    covariance: list[list[float]]

    def deviations(self, features: Mapping[str, float]) -> np.ndarray:
        """Return the differences of features from the means in standard deviations."""
        difference = np.array([features[name] for name in self.names]) - self.mean
        return difference / np.sqrt(np.diag(self.covariance))

    def distance(self, features: Mapping[str, float]) -> float:
        """Return the Mahalanobis distance of features; :data:`NO_DISTANCE` of a result without a labeled voxel."""
        if _is_unlabeled(features):
            return NO_DISTANCE
        difference = np.array([features[name] for name in self.names]) - self.mean
        return float(np.sqrt(difference @ np.linalg.solve(np.array(self.covariance), difference)))


class Plausibility:
    """Judge results by their features, such as volume, position and confidence (:class:`.FeatureAssembler`).

    The Mahalanobis distance from the results of the training cases is the measure (Lee et al., "A simple unified
    framework for detecting out-of-distribution samples", NeurIPS 2018, applied to measurements of the result). The
    distribution is read from the file ``<checkpoint>_plausibility.json`` next to the weights, which
    ``python -m bundle plausibility`` writes. It names the SHA-256 of the weights and is not used for other weights.
    Without it, every result is plausible.

    The same file has the distribution of every number in the JSON of a case, by which :meth:`judge_numbers` flags those
    that are unusual, and estimates of the Dice (:mod:`bundle.inference.quality_estimate`).

    Args:
        checkpoint: file of the weights; None for none.
        limit: greatest distance of a plausible result; None, or the text ``"null"`` of a command line, judges nothing.
        flag_limit: greatest z-score of a number that is not flagged; None, or ``"null"``, flags nothing.

    Attributes:
        distributions: distributions by :data:`CROP`, :data:`REGION` and :data:`IMAGE`.
        ranges: distribution of every number by structure.
        quality: estimate of the Dice by structure.

    Raises:
        ValueError: when a limit is not positive.
        FileError: when the file is damaged.
    """

    def __init__(
        self,
        checkpoint: str | Path | None,
        *,
        limit: float | str | None = 10.0,
        flag_limit: float | str | None = 4.0,
    ) -> None:
        self.limit = _parse_limit("plausible_distance", limit)
        self.flag_limit = _parse_limit("flag_limit", flag_limit)
        check_path_options(checkpoint=checkpoint)
        self._know(read_reference(Path(checkpoint)) if checkpoint else Reference())

    @classmethod
    def of_content(cls, content: Mapping[str, Any] | None, **limits: Any) -> Plausibility:
        """Return what judges by the content of the file of a checkpoint; None judges nothing.

        Args:
            content: the JSON.
            limits: ``limit`` and ``flag_limit``.
        """
        found = cls(None, **limits)
        found._know(_parse_reference(content) if content else Reference())
        return found

    def _know(self, reference: Reference) -> None:
        self.distributions, self.ranges, self.quality = reference.distributions, reference.ranges, reference.quality

    def is_known(self, kind: str) -> bool:
        """Return whether there is a distribution of a kind of results."""
        return kind in self.distributions

    @property
    def remarks(self) -> list[str]:
        """Remarks for every case: that nothing is judged, where a limit was given but the weights are unknown."""
        is_judged = bool(self.distributions or self.ranges)
        return [] if is_judged or self.limit is None else [NOT_JUDGED]

    def judge(self, kind: str, features: Mapping[str, float]) -> tuple[float | None, str | None]:
        """Return the distance of a result from the training cases, and why it is not plausible.

        Returns:
            The distance, None where the training cases are unknown or their structures have other names. The problem in
            words, None if the result is plausible or is not judged.
        """
        distribution = self.distributions.get(kind)
        if distribution is None or not _has_features(distribution, features):
            return None, None
        distance = round(distribution.distance(features), 2)
        is_plausible = self.limit is None or distance <= self.limit
        return distance, None if is_plausible else self._problem(distribution, features, distance)

    def judge_entry(self, kind: str, features: Mapping[str, float]) -> tuple[str | None, dict[str, Any]]:
        """Return why a result is not plausible, None if it is or is not judged, and the entry of the JSON."""
        distance, problem = self.judge(kind, features)
        plausible = None if distance is None or self.limit is None else problem is None
        return problem, {"plausible": plausible, "distance": distance, "limit": self.limit, "features": dict(features)}

    def judge_numbers(self, result: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the JSON of a case gets: z-scores of its numbers, flags in words, and the Dice to be expected.

        Args:
            result: the JSON of the case.

        Returns:
            ``"z_scores"``, ``"flags"`` and, of structures with an estimate, ``"predicted_dice"``; nothing of weights
            whose training cases are unknown.
        """
        if not self.ranges:
            return {}
        regions = list(result.get("volumes_mm3", ()))
        scores: dict[str, dict[str, float]] = {}
        flags, predicted = [], {}
        for name, numbers in result_numbers(result).items():
            structure = structure_of(name, regions)
            ranges = self.ranges.get(structure, {})
            known = {number: value for number, value in numbers.items() if number in ranges}
            scores[name] = {number: ranges[number].z_score(number, value) for number, value in known.items()}
            if self.flag_limit is not None:
                found = (flag(name, each, known[each], ranges[each], limit=self.flag_limit) for each in known)
                flags += [words for words in found if words is not None]
            if structure in self.quality:
                predicted[name] = self.quality[structure].predict(numbers)
        return {"z_scores": scores, "flags": flags, **({"predicted_dice": predicted} if predicted else {})}

    def _problem(self, distribution: FeatureDistribution, features: Mapping[str, float], distance: float) -> str:
        if distance == NO_DISTANCE:
            return NOTHING_LABELED
        deviations = distribution.deviations(features)
        worst = np.argsort(-np.abs(deviations))[:NAMED]
        words = [
            f"{distribution.names[i]} {features[distribution.names[i]]:g} "
            f"({distribution.mean[i]:.3g} in training, {deviations[i]:+.1f} standard deviations)"
            for i in worst
        ]
        return f"distance {distance:.3g} from the training cases, limit {self.limit:g}: {', '.join(words)}"


def _parse_limit(name: str, value: float | str | None) -> float | None:
    number: float | None = parse_null(value)
    if number is not None and not (isinstance(number, int | float) and number > 0):
        raise ValueError(f"{name} must be above 0, or null, got {value!r}.")
    return number


def _is_unlabeled(features: Mapping[str, float]) -> bool:
    return features.get("volume_mm3") == 0


def _has_features(distribution: FeatureDistribution, features: Mapping[str, float]) -> bool:
    """Return whether a result has the features of a distribution, or no labeled voxel; log if it has not."""
    missing = [name for name in distribution.names if name not in features]
    if missing and not _is_unlabeled(features):
        logger.warning("a result is not judged: label_names differ from those of the training (%s)", missing[0])
        return False
    return True


def plausibility_file(checkpoint: str | Path) -> Path:
    """Return the file of the distributions of a checkpoint."""
    return Path(checkpoint).with_name(Path(checkpoint).stem + ENDING)


def learn_distribution(features: Sequence[Mapping[str, float]]) -> FeatureDistribution:
    """Return the distribution of the features of results.

    Few results do not determine a covariance: it is shrunk towards its diagonal by the number of features divided by
    that of results. A feature that is the same in all results, as the position of the only structure, does not count.

    Raises:
        ValueError: when there are fewer than three results, or all are the same.

    Examples:
        >>> learn_distribution([{"volume_mm3": value} for value in (1.0, 2.0, 3.0)]).mean
        [2.0]
    """
    complete = [values for values in features if len(values) == max(map(len, features))]
    if len(complete) < 3:
        raise ValueError(f"at least 3 results with labeled voxels are needed, got {len(complete)}.")
    names = [name for name in complete[0] if len({result[name] for result in complete}) > 1]
    if not names:
        raise ValueError(f"the {len(complete)} results are all the same; results of different images are needed.")
    values = np.array([[result[name] for name in names] for result in complete])
    covariance = np.atleast_2d(np.cov(values.T))
    diagonal = np.diag(np.diag(covariance))
    share = min(1.0, len(names) / len(values))
    covariance = (1 - share) * covariance + (share + RELATIVE_NOISE**2) * diagonal
    return FeatureDistribution(len(values), names, values.mean(0).tolist(), covariance.tolist())


@dataclass(frozen=True)
class Reference:
    """What is known of the results of weights, the content of their file.

    Attributes:
        distributions: distributions of the features by :data:`CROP`, :data:`REGION` and :data:`IMAGE`.
        ranges: distribution of every number by structure.
        quality: estimate of the Dice by structure.
    """

    distributions: dict[str, FeatureDistribution] = field(default_factory=dict)
    ranges: dict[str, dict[str, NumberRange]] = field(default_factory=dict)
    quality: dict[str, QualityEstimate] = field(default_factory=dict)


def write_reference(checkpoint: Path, reference: Reference) -> Path:
    """Write the file of a checkpoint, and return its path."""
    content = asdict(reference)
    path = plausibility_file(checkpoint)
    numbers = {"numbers": content["ranges"], "quality": content["quality"]}
    write_json(path, {"weights": sha256_of_file(checkpoint), "distributions": content["distributions"], **numbers})
    return path


def read_reference(checkpoint: Path) -> Reference:
    """Return what is known of a checkpoint; nothing without a file, or where it is one of other weights.

    Raises:
        FileError: when the file is damaged.
    """
    content = read_reference_content(checkpoint)
    return Reference() if content is None else _parse_reference(content)


def read_reference_content(checkpoint: Path) -> dict[str, Any] | None:
    """Return the content of the file of a checkpoint; None without a file, or where it is one of other weights.

    Raises:
        FileError: when the file is damaged.
    """
    path = plausibility_file(checkpoint)
    if not path.is_file() or not checkpoint.is_file():
        return None
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        weights, _ = content["weights"], _parse_reference(content)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FileError(path, "is damaged", "write it again by python -m bundle plausibility, or remove it") from error
    if weights != sha256_of_file(checkpoint):
        logger.warning("%s belongs to other weights than %s and is not used", path, checkpoint)
        return None
    return content


def _parse_reference(content: Mapping[str, Any]) -> Reference:
    return Reference(
        {name: FeatureDistribution(**values) for name, values in content["distributions"].items()},
        {
            name: {number: NumberRange(**values) for number, values in numbers.items()}
            for name, numbers in content.get("numbers", {}).items()
        },
        {name: QualityEstimate(**values) for name, values in content.get("quality", {}).items()},
    )
