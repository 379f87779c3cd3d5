"""Which cases of an interrupted run are done: whole results that were made from the same file by the same settings."""

from __future__ import annotations

import glob
import hashlib
import json
import logging
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import Any

import numpy as np
import torch

from . import __version__
from .switches import switch
from .volume_files import DETACHED

logger = logging.getLogger(__name__)

DONE = "done_earlier"
"""Key under which a batch carries the record of a case that an earlier run has done."""

MADE_FROM = "made_from"
"""Key of a case for what its result is made from: digests of the settings and of the state of its file."""

UNIMPORTANT = ("progress", "on_window", "training", "cache", "chosen", "trials")
"""Attributes of the parts that do not change a result."""

DEPTH = 6


class DoneCases:
    """Find results of earlier runs that need not be made again.

    A result is taken as done when its JSON and all files that the JSON names are whole (by their sha256), and when it
    was made by the same settings from the same state of its input. Settings are the version of this project, the
    contents of the checkpoint and what can be seen of the ``parts``: types and plain attributes, all the way down. The
    state of an input is the size and time of change of its file or, for a DICOM folder, of all files in it.

    Args:
        output_dir: folder with the results.
        enabled: False to find nothing; text such as ``"true"`` of a command line is understood.
        parts: objects and values that decide on a result, e.g. preprocessing, network, inferer and label names.
        checkpoint: file of weights.

    Raises:
        ValueError: when ``enabled`` is neither true nor false.
    """

    def __init__(
        self,
        output_dir: str | Path,
        *,
        enabled: bool | int | str = False,
        parts: Sequence[Any] = (),
        checkpoint: str | Path | None = None,
    ) -> None:
        self.output_dir, self.enabled = Path(str(output_dir)), switch("resume", enabled)
        self.settings = _digest([__version__, describe(list(parts)), sha256(checkpoint) if checkpoint else None])

    def stamp(self, image: str | Path) -> str:
        """Return what a result of ``image`` is made from: two digests, of the settings and of the input, in a text."""
        return f"{self.settings} {_digest(_state(Path(image)))}"

    def find(self, case: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the record of a case that is done, or None; a result that is there but has to be redone is logged."""
        path = self.output_dir / f"{case['case']}.json"
        if not self.enabled or not path.is_file():
            return None
        record = _read(path)
        reason = self._fault(record, str(case["image"]))
        if reason:
            logger.warning("%s: made again, since %s", path, reason)
            return None
        return {**record, DONE: True}

    def _fault(self, record: dict[str, Any], image: str) -> str:
        made_from, files = record.get(MADE_FROM), record.get("files")
        if not isinstance(made_from, dict) or not isinstance(files, dict) or not files:
            return "it does not tell what it was made from"
        settings, state = self.stamp(image).split()
        if made_from.get("settings") != settings:
            return "it was made by other settings"
        if made_from.get("input") != state:
            return f"{image} has changed"
        damaged = [name for name, digest in files.items() if _sha256_or_none(self.output_dir / name) != digest]
        return f"{', '.join(damaged)} is missing or damaged" if damaged else ""


def describe(value: Any, depth: int = DEPTH) -> Any:
    """Return what can be seen of a value as JSON: plain values, containers, arrays, and objects by their attributes."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Path | torch.device | torch.dtype | np.dtype | type):
        return str(value)
    if isinstance(value, np.ndarray | torch.Tensor):
        array = np.asarray(value.detach().cpu() if isinstance(value, torch.Tensor) else value)
        return [str(array.dtype), list(array.shape), hashlib.sha256(array.tobytes()).hexdigest()]
    if depth == 0:
        return _name(value)
    if isinstance(value, Mapping):
        return {str(key): describe(value[key], depth - 1) for key in value}
    if isinstance(value, Set):
        return sorted(json.dumps(describe(item, depth - 1)) for item in value)
    if isinstance(value, list | tuple):
        return [describe(item, depth - 1) for item in value]
    if isinstance(value, torch.nn.Module):
        return {name: [_name(module), _visible(module, 2)] for name, module in value.named_modules()}
    return [_name(value), _visible(value, depth)]


def sha256(path: str | Path) -> str:
    """Return the sha256 of a file."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _visible(value: Any, depth: int) -> dict[str, Any]:
    names = sorted(name for name in getattr(value, "__dict__", {}) if not name.startswith("_"))
    return {name: describe(getattr(value, name), depth - 1) for name in names if name not in UNIMPORTANT}


def _name(value: Any) -> str:
    kind = value if hasattr(value, "__qualname__") else type(value)
    return f"{kind.__module__}.{kind.__qualname__}"


def _state(path: Path) -> list[Any]:
    """Return names, sizes and times of change of the files that an input consists of."""
    files = [path]
    if path.is_dir():
        files = [file for file in path.rglob("*") if file.is_file()]
    elif path.name.lower().endswith(DETACHED):
        files = list(path.parent.glob(f"{glob.escape(path.stem)}.*"))
    return sorted(
        [file.name, file.stat().st_size, file.stat().st_mtime_ns] if file.exists() else [file.name] for file in files
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}


def _sha256_or_none(path: Path) -> str | None:
    return sha256(path) if path.is_file() else None


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
