"""Finding of completed cases: complete results of the same file by the same settings."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

from bundle.io.remote_files import describe_remote, is_remote
from bundle.io.volume_files import content_files, files_of
from bundle.utils.describe import describe
from bundle.utils.digests import sha256_of_file, sha256_of_values
from bundle.utils.parse_bool import parse_bool
from bundle.utils.versions import versions

from .claims import EXPIRY, Claim, Claims
from .whole_files import is_whole

logger = logging.getLogger(__name__)

DECISIVE = ("keyslice", "monai", "torch")
"""Versions that decide on a result."""

KEPT = 8
"""Results that are kept in memory between the look at them and their use."""


class CompletedCases:
    """Find results of earlier runs that need not be recomputed.

    A result counts as completed when its JSON and all files that the JSON names are complete (by their SHA-256), and
    when it was computed by the same settings from the same state of its input. The digest of the settings covers the
    versions of this project, MONAI and PyTorch, the content of the checkpoint, and ``settings`` as
    :func:`bundle.utils.describe.describe` has them. The state of an input is its path and the size and time of
    change of its files: those directly in a DICOM folder, a header and the voxels that it names.

    A file that was changed and is whole was corrected by hand: the case counts as completed, with a warning.

    Args:
        output_dir: folder with the results.
        enabled: False to find nothing; text such as ``"true"`` of a command line is understood.
        settings: values and objects that decide on a result, e.g. label names, network, preprocessing and inferer.
        checkpoint: file of weights; a missing one is left to :func:`bundle.networks.load_weights` to report.
        expiry: seconds without a sign of life after which another process is taken for ended.

    Raises:
        ValueError: when ``enabled`` is neither true nor false.

    Examples:
        >>> one, other = (CompletedCases("out", settings=[{"overlap": overlap}]) for overlap in (0.25, 0.5))
        >>> one.settings == CompletedCases("out", settings=[{"overlap": 0.25}]).settings
        True
        >>> one.settings == other.settings
        False
    """

    def __init__(
        self,
        output_dir: str | Path,
        *,
        enabled: bool | int | str = False,
        settings: Sequence[Any] = (),
        checkpoint: str | Path | None = None,
        expiry: float = EXPIRY,
    ) -> None:
        self.output_dir, self.enabled = Path(str(output_dir)), parse_bool("resume", enabled)
        weights = _sha256_or_none(Path(checkpoint)) if checkpoint else None
        decisive = {name: number for name, number in versions().items() if name in DECISIVE}
        self.settings = sha256_of_values([decisive, describe(list(settings)), weights])
        self.claims = Claims(self.output_dir, expiry=expiry)
        self._known: dict[str, dict[str, Any]] = {}
        self._reported: set[str] = set()

    def provenance(self, image: str | Path | Sequence[str | Path]) -> dict[str, str]:
        """Return digests of what a result of ``image`` is computed from: ``"settings"`` and ``"input"``."""
        states = [describe_remote(file) if is_remote(file) else _state(Path(file)) for file in files_of(image)]
        return {"settings": self.settings, "input": sha256_of_values(states[0] if len(states) == 1 else states)}

    def find(self, case: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the JSON of a completed case, or None; why an existing result is recomputed is logged.

        The JSON of a failed case, with ``"error"``, is returned if it is one of this run.
        """
        name = str(case["case"])
        if name in self._known:
            return self._known.pop(name)
        content, reason = self._look_up(case)
        if reason:
            logger.warning("%s: recomputed, since %s", self._path(name), reason)
        return content

    def begin(self, case: Mapping[str, Any]) -> Claim | Literal["completed", "taken"]:
        """Claim a case that is to be computed.

        Returns:
            The claim; ``"completed"`` if there is a result; ``"taken"`` if another process computes it.
        """
        name = str(case["case"])
        self.claims.open()
        if self._recall(case):
            return "completed"
        claim = self.claims.take(name)
        if claim is None:
            return "taken"
        with ExitStack() as kept:
            kept.callback(claim.release)  # also if the input cannot be looked at, or the case would stay taken
            if self._recall(case):  # meanwhile, by the process that had the claim
                return "completed"
            _, reason = self._look_up(case)
            if reason:
                logger.warning("%s: recomputed, since %s", self._path(name), reason)
            self._path(name).unlink(missing_ok=True)
            kept.pop_all()
        return claim

    def claim_of(self, case: str) -> Claim | None:
        """Return the claim of this run; None where cases are not shared."""
        return self.claims.held(case) if self.enabled else None

    def _path(self, name: str) -> Path:
        return self.output_dir / f"{name}.json"

    def _recall(self, case: Mapping[str, Any]) -> bool:
        """Return whether there is a result, and keep it for :meth:`find`."""
        content, _ = self._look_up(case)
        if content is not None:
            self._known[str(case["case"])] = content
            while len(self._known) > KEPT:
                self._known.pop(next(iter(self._known)))
        return content is not None

    def _look_up(self, case: Mapping[str, Any]) -> tuple[dict[str, Any] | None, str]:
        """Return the JSON of a case, if it is a result, and else why it is none; nothing if there is no JSON."""
        path = self._path(str(case["case"]))
        if not self.enabled or not path.is_file():
            return None, ""
        try:
            content, written = _read(path), path.stat().st_mtime
        except FileNotFoundError:  # meanwhile, by a process that computes the case again
            return None, ""
        reason = self._difference(content, files_of(case["image"]))
        if not reason and "error" in content and not 0 < self.claims.started <= written:
            return None, ""
        return (None, reason) if reason else (content, "")

    def _difference(self, content: dict[str, Any], image: Sequence[str]) -> str:
        found, files = content.get("provenance"), content.get("files")
        if "error" in content:
            files = {}
        if not isinstance(found, dict) or not isinstance(files, dict):
            return "it has no provenance"
        expected = self.provenance(image)
        if found.get("settings") != expected["settings"]:
            return "it was computed by other settings"
        if found.get("input") != expected["input"]:
            return f"{', '.join(image)} has changed or is another file"
        damaged = [name for name, digest in files.items() if _sha256_or_none(self.output_dir / name) != digest]
        corrected = [name for name in damaged if is_whole(self.output_dir / name)]
        if corrected:
            self._report(str(content["case"]), corrected, [name for name in damaged if name not in corrected])
            return ""
        return f"{', '.join(damaged)} is missing or damaged" if damaged else ""

    def _report(self, case: str, corrected: Sequence[str], damaged: Sequence[str]) -> None:
        """Log once that a case is kept, as files of it were corrected by hand."""
        if case not in self._reported:
            self._reported.add(case)
            also = f", although {', '.join(damaged)} is missing or damaged" if damaged else ""
            logger.warning(
                "%s: %s was corrected by hand and is kept%s; remove %s to compute the case again",
                self.output_dir,
                ", ".join(corrected),
                also,
                self._path(case).name,
            )


def _state(path: Path) -> list[Any]:
    """Return the path of an input, and names, sizes and times of change of the files that it consists of."""
    states = sorted(
        [file.name, file.stat().st_size, file.stat().st_mtime_ns] if file.exists() else [file.name]
        for file in content_files(path)
    )
    return [str(path.resolve()), *states]


def _read(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}


def _sha256_or_none(path: Path) -> str | None:
    return sha256_of_file(path) if path.is_file() else None
