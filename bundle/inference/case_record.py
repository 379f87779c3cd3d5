"""The record of a case: its state from loading to the JSON of its results."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from bundle.io.volume_files import files_of, stem_of
from bundle.utils.digests import sha256_of_file
from bundle.utils.errors import FileError
from bundle.utils.versions import PACKAGES, versions
from bundle.utils.write_json import write_json

from .case_findings import CaseFindings
from .claims import Claim, ClaimLostError
from .plausibility import Plausibility

logger = logging.getLogger(__name__)

RECORD = "record"
"""Key of the record in the item of a dataset, in a batch, and in the data of a postprocessing transform."""

EXIT_BAD_CASES = 2
"""Exit status of a run that skipped cases."""

Status = Literal["loaded", "completed", "completed earlier", "taken over", "failed"]


@dataclass
class CaseRecord:
    """State of one case, created by :class:`bundle.inference.CaseDataset` and completed by the transform that writes.

    The record crosses worker processes and threads as one object. :meth:`to_json` is the only place that turns it into
    JSON, for the file of the case and for ``summary.json``.

    Attributes:
        case: name, after which the files of the results are named.
        file: image file; several files are separated by commas.
        status: ``"loaded"``, ``"completed"``, ``"completed earlier"`` (by an earlier run, or by another process),
            ``"taken over"`` (by another process, after this one was taken for ended) or ``"failed"``.
        started: time at which processing started, in seconds of ``time.perf_counter``; None for unknown.
        provenance: digests of the settings and of the input, see :class:`bundle.inference.CompletedCases`.
        remarks: remarks on the input and the result.
        plan: plan by which the network ran, see :class:`bundle.inference.PlannedInferer`.
        findings: what the inferer knows of the result, see :class:`bundle.inference.RegionInferer`.
        identifiers: DICOM identifiers or BIDS entities, see :func:`bundle.io.identifiers.identifiers_of`.
        plausibility: judges the numbers of the result; None for nothing.
        packages: packages whose versions the JSON has.
        folder: folder that has a JSON of every failed case, too, where the dataset has ``completed``; None for none.
        claim: right of this process to compute the case; None where it shares the folder with no other.
        address: address of the image file, where ``file`` is a copy of it; empty otherwise.
        temporary: folder of this copy, which is removed when the case is settled.
        is_written: whether the JSON has been written.
        error: class of the error of a failed case.
        message: what failed.
        results: JSON of a completed case.

    Examples:
        >>> record = CaseRecord("scan", "in/scan.nii.gz")
        >>> record.complete({"output": "out/scan_seg.nii.gz"})
        >>> record.status, record.to_json()["output"]
        ('completed', 'out/scan_seg.nii.gz')
    """

    case: str
    file: str = ""
    status: Status = "loaded"
    started: float | None = None
    provenance: dict[str, str] | None = None
    remarks: list[str] = field(default_factory=list)
    plan: str | None = None
    findings: CaseFindings | None = None
    identifiers: dict[str, str] = field(default_factory=dict)
    plausibility: Plausibility | None = field(default=None, repr=False)
    packages: Sequence[str] = PACKAGES
    folder: Path | None = None
    claim: Claim | None = None
    address: str = ""
    temporary: Path | None = None
    is_written: bool = False
    error: str = ""
    message: str = ""
    results: dict[str, Any] = field(default_factory=dict)

    @property
    def is_completed(self) -> bool:
        """Whether there are results, of this run or of an earlier one."""
        return self.status in ("completed", "completed earlier")

    def fail(self, error: BaseException) -> None:
        """Note the error at the root of the chain and log it."""
        while error.__cause__ is not None and not isinstance(error, FileError):
            error = error.__cause__
        if isinstance(error, ClaimLostError):
            self.status = "taken over"
            logger.warning("%s", error)
            return
        self.status, self.error = "failed", type(error).__name__
        self.message = str(error) if isinstance(error, FileError) else f"{self.file}: {self.error}: {error}"
        logger.error("case %s is skipped: %s: %s", self.case, self.error, self.message)

    def complete(
        self, results: Mapping[str, Any], *, files: Sequence[Path] | None = None, checkpoint: str | Path | None = None
    ) -> None:
        """Add the results.

        Args:
            results: entries of the JSON that the task has.
            files: files that were written besides the JSON, which lists their SHA-256; None for no list.
            checkpoint: file of the weights.
        """
        judged: dict[str, Any] = {}
        if self.findings is not None:
            results = {**results, **self.findings.results}
            self.remarks += self.findings.remarks
        if self.plausibility is not None:
            judged = self.plausibility.judge_numbers(results)
            self.remarks += self.plausibility.remarks
        if self.findings is not None and self.findings.flags:
            judged["flags"] = self.findings.flags + judged.get("flags", [])
        optional = {
            "plan": self.plan,
            "files": None if files is None else {file.name: sha256_of_file(file) for file in files},
            "provenance": self.provenance,
        }
        self.results = {
            "case": self.case,
            "input": self.address or self.file,
            **self._joined(),
            **results,
            **judged,
            "remarks": self.remarks,
            "seconds": None if self.started is None else round(time.perf_counter() - self.started, 3),
            "checkpoint": _describe_checkpoint(checkpoint),
            "versions": versions(self.packages),
            **{name: value for name, value in optional.items() if value is not None},
        }
        self.status = "completed"

    def to_json(self) -> dict[str, Any]:
        """Return the content of the JSON of a completed case, or the entry of a failed one in ``summary.json``."""
        if self.status == "failed":
            found = {} if self.findings is None else self.findings.results
            error = {"error": self.error, "message": self.message}
            more = {**found, **({"provenance": self.provenance} if self.provenance else {})}
            return {"case": self.case, "file": self.address or self.file, **self._joined(), **error, **more}
        return self.results

    def write(self, folder: Path) -> None:
        """Write the JSON of the case.

        Raises:
            ClaimLostError: when another process has the right to do so, or has done so.
        """
        path = folder / f"{self.case}.json"
        if self.claim is None or self.is_written:
            write_json(path, self.to_json())
        else:
            self.claim.commit(path, self.to_json())
        self.is_written = True

    def settle(self) -> None:
        """End the work on the case, once: write the JSON of a failed one, give back the claim, forget the results.

        Without ``folder``, nothing but the removal of a copy is done.
        """
        if self.temporary is not None and self.status != "loaded":
            shutil.rmtree(self.temporary, ignore_errors=True)
        if self.folder is None or self.status == "loaded":
            return
        if self.status == "failed":
            try:
                self.write(self.folder)
            except ClaimLostError as error:
                self.fail(error)
            except OSError as error:
                logger.error("%s: the failure cannot be written to %s: %s", self.case, self.folder, error)
        if self.claim is not None:
            self.claim.release()
        self.results, self.folder = {}, None

    def _joined(self) -> dict[str, Any]:
        return {"identifiers": self.identifiers} if self.identifiers else {}


def new_record(case: Mapping[str, Any]) -> CaseRecord:
    """Return the record of a case of a datalist, with ``"image"`` and ``"case"``, whose processing starts now."""
    file = ", ".join(files_of(case.get("image", "")))
    return CaseRecord(str(case.get("case", Path(file).name)), file, started=time.perf_counter())


def record_of_batch(batch: Mapping[str, Any]) -> CaseRecord:
    """Return the record in a batch of one case; a batch of another dataset than ``CaseDataset`` gets a new one."""
    if RECORD in batch:
        return batch[RECORD]
    file = getattr(batch.get("image"), "meta", {}).get("filename_or_obj", [""])
    return CaseRecord(str(batch.get("case", ["?"])[0]), str(file[0]))


def record_of_data(data: Mapping[Hashable, Any], image_key: str) -> CaseRecord:
    """Return the record in the data of a postprocessing transform, or a new one, with the remarks on the image.

    Loaders such as :class:`bundle.io.LoadVolumed` leave their remarks in the metadata, as ``"remarks"`` separated by
    ``"; "``; they are read here alone.
    """
    meta = data[image_key].meta
    source = str(meta["filename_or_obj"])
    record = data.get(RECORD)
    if record is None:
        record = CaseRecord(str(data.get("case", _name_of(source))))
    record.file = source
    remarks = [remark for remark in str(meta.get("remarks", "")).split("; ") if remark]
    record.remarks += [remark for remark in remarks if remark not in record.remarks]
    return record


def summarize(
    records: Sequence[CaseRecord],
    *,
    metrics: Mapping[str, Any],
    seconds: float,
    review: Mapping[str, Any] | None = None,
    stopped: bool = False,
) -> dict[str, Any]:
    """Return the content of ``summary.json``.

    Args:
        records: records of all cases of the run.
        metrics: metrics of the run.
        seconds: time that it took.
        review: ratings by which cases were left out; None for none.
        stopped: whether it was interrupted.
    """
    return {
        "cases": [record.to_json() for record in records if record.is_completed],
        "failures": [record.to_json() for record in records if record.status == "failed"],
        "metrics": {name: float(value) for name, value in metrics.items()},
        "seconds": round(seconds, 3),
        **({} if review is None else {"review": review}),
        **({"stopped": True} if stopped else {}),
    }


def _name_of(source: str) -> str:
    name, path = stem_of(source), Path(source)
    return path.stem if name == path.name and not path.is_dir() else name


def _describe_checkpoint(checkpoint: str | Path | None) -> dict[str, str] | None:
    if not checkpoint:
        return None
    return {"path": str(checkpoint), "sha256": _sha256(str(checkpoint), Path(checkpoint).stat().st_mtime_ns)}


@lru_cache(maxsize=8)
def _sha256(path: str, changed: int) -> str:
    """Hash a file; ``changed``, its time of change, keeps a rewritten file from being answered from the cache."""
    return sha256_of_file(path)
