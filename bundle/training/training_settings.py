"""Settings that decide the result of a training: a training is resumed only with those it was started with."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from bundle.io.volume_files import content_files, files_of
from bundle.utils.describe import describe
from bundle.utils.differences import differences
from bundle.utils.digests import sha256_of_samples, sha256_of_values
from bundle.utils.errors import BundleError
from bundle.utils.parse_bool import parse_bool

logger = logging.getLogger(__name__)

LAST = "last.pt"
"""File of the complete state of a training."""

SETTINGS = "settings"
"""Key of the settings in that file."""

MAX_LENGTH = 80
"""Characters of a value in a message."""

DIGITS = 12
"""Digits of the digest of a case."""


class TrainingSettingsError(BundleError):
    """A training that was started with other settings; the message names them with both values."""


class TrainingSettings:
    """Describe the settings of a training, and refuse to resume one that was started with others.

    :class:`bundle.training.TrainingCheckpoint` stores ``described``. The comparison takes place when the object is
    made, so that nothing is loaded or written before; every process compares for itself. Ids that only one of the two
    has are not compared. A state of version 0.1 has no settings: it is resumed, with a warning.

    Args:
        output_dir: folder of the training, with its ``last.pt``.
        values: settings by their id in the config, described by :func:`bundle.utils.describe.describe`.
        cases: lists of cases by name. They count by their names and the content of their images and labels, not by
            their paths, so that a dataset may move.
        resume: compare with ``last.pt`` if there is one.

    Attributes:
        described: the settings as plain values.

    Raises:
        TrainingSettingsError: if the training was started with other settings.
        ValueError: if ``last.pt`` cannot be read.
    """

    def __init__(
        self,
        output_dir: str | Path,
        values: Mapping[str, Any],
        *,
        cases: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
        resume: bool | str = False,
    ) -> None:
        lists = {name: describe_cases(items) for name, items in (cases or {}).items()}
        text = json.dumps({**describe(values, lambdas="lambda"), **lists})
        self.described: dict[str, Any] = json.loads(text, parse_constant=str)
        path = Path(str(output_dir), LAST)
        if parse_bool("resume", resume) and path.is_file():
            self._compare(read_training_state(path).get(SETTINGS), path)

    def _compare(self, stored: Mapping[str, Any] | None, path: Path) -> None:
        if stored is None:
            logger.warning("%s has no settings (version 0.1): make sure that it is resumed with the same ones", path)
            return
        found = [list(differences(stored[name], self.described[name], name)) for name in self._ids(stored)]
        if any(found):
            listed = "; ".join(_describe_differences(items) for items in found if items)
            raise TrainingSettingsError(
                f"{path} is of a training with other settings: {listed}. Pass another --output_dir, or the settings "
                "that it was started with."
            )

    def _ids(self, stored: Mapping[str, Any]) -> list[str]:
        """Return the ids that both have, those with short values first."""
        both = [name for name in self.described if name in stored]
        return sorted(both, key=lambda name: len(json.dumps(self.described[name])) > MAX_LENGTH)


def describe_cases(cases: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return digests of the images and labels of cases, by the name of the case.

    Args:
        cases: cases with ``"case"``, ``"image"`` and ``"label"``; the latter are files, folders or arrays.
    """
    digests: dict[str, list[str]] = {}
    for case in cases:
        content = [_describe_content(case.get(key)) for key in ("image", "label")]
        digests.setdefault(str(case.get("case")), []).append(sha256_of_values(content)[:DIGITS])
    return {name: " ".join(sorted(found)) for name, found in digests.items()}


def read_training_state(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Read the state of a training.

    Args:
        path: the file ``last.pt``.
        device: device to read to.

    Raises:
        ValueError: if the file is damaged or of another kind.
    """
    try:
        return dict(torch.load(path, map_location=device, weights_only=True))
    except Exception as error:
        raise ValueError(f"{path} is damaged or no checkpoint; start anew without --resume.") from error


def _describe_content(value: Any) -> Any:
    is_path = isinstance(value, str | Path) or (isinstance(value, list) and isinstance(value[0], str | Path))
    if not is_path:
        return describe(value)
    files = [file for item in files_of(value) for file in sorted(content_files(Path(item)))]
    return [sha256_of_samples(file) for file in files if file.is_file()]


def _describe_differences(found: Sequence[tuple[str, Any, Any]]) -> str:
    """Return the first difference within an id, and the number of the others."""
    name, stored, given = found[0]
    more = f" (and {len(found) - 1} more in {name.partition('#')[0]})" if len(found) > 1 else ""
    return f"{name} is {_shorten(stored)} there and {_shorten(given)} here{more}"


def _shorten(value: Any) -> str:
    text = json.dumps(value)
    if isinstance(value, list) and len(text) > MAX_LENGTH:
        return f"a list of {len(value)}"
    return text if len(text) <= MAX_LENGTH else f"{text[:MAX_LENGTH]}..."
