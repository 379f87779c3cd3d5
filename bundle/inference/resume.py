"""Which cases of an interrupted run are done: whole results that were made from the same file by the same settings."""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import os
import re
import types
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bundle import __version__
from bundle.io.volume_files import DETACHED, files_of
from bundle.utils.digests import sha256_of_file, sha256_of_values
from bundle.utils.parse_bool import parse_bool

logger = logging.getLogger(__name__)

DONE = "done_earlier"
"""Key under which a batch carries the record of a case that an earlier run has done."""

MADE_FROM = "made_from"
"""Key of a case for what its result is made from: digests of the settings and of the state of its file."""

UNIMPORTANT = ("progress", "on_window", "training", "cache", "chosen", "trials")
"""Attributes of the parts that do not change a result."""

DEPTH = 6

VOXELS = re.compile(rb"^(?:ElementDataFile|data ?file)\s*[=:]\s*(\S.*?)\s*$", re.IGNORECASE | re.MULTILINE)
"""The line of a detached header that names the file with the voxels."""

HEADER_BYTES = 1 << 16


class DoneCases:
    """Find results of earlier runs that need not be made again.

    A result is taken as done when its JSON and all files that the JSON names are whole (by their sha256), and when it
    was made by the same settings from the same state of its input. Settings are the version of this project, the
    contents of the checkpoint and what can be seen of the ``parts``: types, plain attributes and the code of functions,
    all the way down. The state of an input is its path and the size and time of change of its file or files: those
    directly in a DICOM folder, a header and the voxels that it names.

    Args:
        output_dir: folder with the results.
        enabled: False to find nothing; text such as ``"true"`` of a command line is understood.
        parts: objects and values that decide on a result, e.g. preprocessing, network, inferer and label names.
        checkpoint: file of weights; one that is missing is left to :func:`bundle.networks.load_weights` to report.

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
        self.output_dir, self.enabled = Path(str(output_dir)), parse_bool("resume", enabled)
        weights = _sha256_or_none(Path(checkpoint)) if checkpoint else None
        self.settings = sha256_of_values([__version__, describe(list(parts)), weights])

    def stamp(self, image: str | Path | Sequence[str | Path]) -> str:
        """Return what a result of ``image`` is made from: two digests, of the settings and of the input, in a text."""
        states = [_state(Path(file)) for file in files_of(image)]
        return f"{self.settings} {sha256_of_values(states[0] if len(states) == 1 else states)}"

    def find(self, case: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the record of a case that is done, or None; a result that is there but has to be redone is logged."""
        path = self.output_dir / f"{case['case']}.json"
        if not self.enabled or not path.is_file():
            return None
        record = _read(path)
        reason = self._fault(record, files_of(case["image"]))
        if reason:
            logger.warning("%s: made again, since %s", path, reason)
            return None
        return {**record, DONE: True}

    def _fault(self, record: dict[str, Any], image: Sequence[str]) -> str:
        made_from, files = record.get(MADE_FROM), record.get("files")
        if not isinstance(made_from, dict) or not isinstance(files, dict):
            return "it does not tell what it was made from"
        settings, state = self.stamp(image).split()
        if made_from.get("settings") != settings:
            return "it was made by other settings"
        if made_from.get("input") != state:
            return f"{', '.join(image)} has changed or is another file"
        damaged = [name for name, digest in files.items() if _sha256_or_none(self.output_dir / name) != digest]
        return f"{', '.join(damaged)} is missing or damaged" if damaged else ""


def describe(value: Any, depth: int = DEPTH) -> Any:
    """Return what can be seen of a value as JSON: plain values, containers, arrays, code, and objects by attributes."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Path | torch.device | torch.dtype | np.dtype | type):
        return str(value)
    if isinstance(value, np.ndarray | torch.Tensor):
        array = np.asarray(value.detach().cpu() if isinstance(value, torch.Tensor) else value)
        return [str(array.dtype), list(array.shape), hashlib.sha256(array.tobytes()).hexdigest()]
    if isinstance(value, functools.partial):
        return [describe(part, depth) for part in (value.func, value.args, value.keywords)]
    if isinstance(value, types.FunctionType):
        return _function(value, depth)
    return _object(value, depth) if depth else _name(value)


def _object(value: Any, depth: int) -> Any:
    if isinstance(value, Mapping):
        return {str(key): describe(value[key], depth - 1) for key in value}
    if isinstance(value, Set):
        return sorted(json.dumps(describe(item, depth - 1)) for item in value)
    if isinstance(value, list | tuple):
        return [describe(item, depth - 1) for item in value]
    if isinstance(value, torch.nn.Module):
        return {name: [_name(module), _visible(module, 2)] for name, module in value.named_modules()}
    return [_name(value), _visible(value, depth)]


def _visible(value: Any, depth: int) -> dict[str, Any]:
    names = sorted(name for name in getattr(value, "__dict__", {}) if not name.startswith("_"))
    return {name: describe(getattr(value, name), depth - 1) for name in names if name not in UNIMPORTANT}


def _function(function: types.FunctionType, depth: int) -> list[Any]:
    """Return name and code of a function and, unless the depth is used up, the plain values that it holds."""
    cells = [cell.cell_contents for cell in function.__closure__ or ()]
    held = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values(), *cells] if depth else []
    return [_name(function), _constant(function.__code__), *(describe(item, 0) for item in held)]


def _constant(value: Any) -> Any:
    """Return a constant of compiled code, or such code itself, without addresses and the random order of sets."""
    if isinstance(value, types.CodeType):
        code = hashlib.sha256(value.co_code).hexdigest()
        return [code, [_constant(item) for item in value.co_consts], list(value.co_names)]
    return sorted(map(repr, value)) if isinstance(value, frozenset) else repr(value)


def _name(value: Any) -> str:
    kind = value if hasattr(value, "__qualname__") else type(value)
    return f"{kind.__module__}.{kind.__qualname__}"


def _state(path: Path) -> list[Any]:
    """Return the path of an input, and names, sizes and times of change of the files that it consists of."""
    files = [path]
    if path.is_dir():
        files = _files_in(path)
    elif path.name.lower().endswith(DETACHED) and path.is_file():
        files = [path, *_voxels_of(path)]
    states = sorted(
        [file.name, file.stat().st_size, file.stat().st_mtime_ns] if file.exists() else [file.name] for file in files
    )
    return [str(path.resolve()), *states]


def _voxels_of(header: Path) -> list[Path]:
    """Return the file of voxels that a header names or, where it does not name just one, all files beside it."""
    with open(header, "rb") as stream:
        named = VOXELS.search(stream.read(HEADER_BYTES))
    voxels = header.parent / os.fsdecode(named[1]) if named else header.parent
    return [voxels] if os.path.isfile(voxels) else _files_in(header.parent)


def _files_in(folder: Path) -> list[Path]:
    return [file for file in folder.iterdir() if file.is_file() and not file.name.startswith(".")]


def _read(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}


def _sha256_or_none(path: Path) -> str | None:
    return sha256_of_file(path) if path.is_file() else None
