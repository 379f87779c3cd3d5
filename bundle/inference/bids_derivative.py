"""Results of a folder as a BIDS derivative.

Files of a case with the name of a BIDS image, ``sub-01[_ses-2]_T2w.nii.gz``, are copied to ``sub-01/[ses-2/]anat``:
label maps of discs as ``sub-01_T2w_label-discs_dlabel.nii.gz``, as in Spine Generic, and segmentations as
``sub-01_space-T1w_dseg.nii.gz`` (https://bids-specification.readthedocs.io, derivatives). The tables of labels of the
folder and ``dataset_description.json`` are at the top.
"""

from __future__ import annotations

import filecmp
import json
import logging
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bundle import __version__
from bundle.io.identifiers import bids_identifiers
from bundle.io.volume_files import stem_of
from bundle.results.result_folder import read_results
from bundle.utils.atomic_write import atomic_write
from bundle.utils.errors import FileError
from bundle.utils.write_json import write_json

logger = logging.getLogger(__name__)

BIDS_VERSION = "1.10.0"

DESCRIPTION = "dataset_description.json"

PROGRAM = "keyslice"

NAMES = {
    "_label-discs_dlabel": "{scan}_label-discs_dlabel",
    "_seg": "{base}_space-{suffix}_dseg",
    "_dseg": "{base}_space-{suffix}_dseg",
}
"""Name of a file in the derivative by what it adds to that of its case; others are not copied."""

TABLES = "*_dseg.tsv"


@dataclass(frozen=True)
class BidsDerivative:
    """What a derivative holds.

    Attributes:
        cases: number of cases whose files it holds.
        skipped: why the other cases, or files, are not in it.
    """

    cases: int
    skipped: tuple[str, ...] = ()


def write_bids_derivative(run_dir: str | Path, target: str | Path, *, overwrite: bool = False) -> BidsDerivative:
    """Copy the label maps of a finished run to a BIDS derivative, such as ``DATASET/derivatives/labels``.

    Files that exist with another content, such as corrected ones, are kept unless ``overwrite`` is set. Everything that
    is left out is logged.

    Args:
        run_dir: ``output_dir`` of an inference of discs or of volumes.
        target: folder of the derivative; created if missing.
        overwrite: replace files that have another content.

    Raises:
        FileError: when the folder holds no completed case, or the target is the folder itself.
    """
    source, folder = Path(run_dir), Path(target)
    if source.resolve() == folder.resolve():
        raise FileError(folder, "holds the results themselves", "name another folder, DATASET/derivatives/NAME")
    results = [content for _, content in read_results(source) if "error" not in content] if source.is_dir() else []
    if not results:
        raise FileError(source, "holds no completed case", "name the output_dir of an inference")
    skipped: list[str] = []
    check_description(folder)
    names = _bids_names(results, skipped)
    cases = sum(_copy_case(content, source, folder, overwrite, skipped) for content in names)
    if cases:
        for table in sorted(source.glob(TABLES)):
            if table.name.removesuffix(TABLES[1:]) not in {content["case"] for content in results}:
                _copy(table, folder / table.name, overwrite, skipped)
        _describe(folder)
    for message in skipped:
        logger.warning("%s", message)
    return BidsDerivative(cases, tuple(skipped))


def check_description(folder: Path) -> None:
    """Check that the description of a derivative can be read, if there is one.

    Raises:
        FileError: when it is no JSON object.
    """
    _description(folder)


def _description(folder: Path) -> dict[str, Any] | None:
    path = folder / DESCRIPTION
    if not path.exists():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise FileError(path, f"cannot be read ({error})", "correct or remove it") from error
    if not isinstance(content, dict):
        raise FileError(path, "holds no object", "correct or remove it")
    return content


def _bids_names(results: Sequence[Mapping[str, Any]], skipped: list[str]) -> list[Mapping[str, Any]]:
    """Return the results without those whose images have one BIDS name, which would overwrite each other."""
    scans = [stem_of(Path(content["input"].split(", ")[0])) for content in results]
    of_scan: dict[str, list[str]] = {}
    for scan, content in zip(scans, results, strict=True):
        of_scan.setdefault(scan, []).append(content["case"])
    skipped += [
        f"{', '.join(cases)}: have the same BIDS name {scan}, and are not in the derivative; rename their images"
        for scan, cases in of_scan.items()
        if len(cases) > 1
    ]
    return [content for scan, content in zip(scans, results, strict=True) if len(of_scan[scan]) == 1]


def _copy_case(content: Mapping[str, Any], source: Path, folder: Path, overwrite: bool, skipped: list[str]) -> bool:
    """Copy the files of a case; return whether it is in the derivative."""
    scan, case = stem_of(Path(content["input"].split(", ")[0])), content["case"]
    entities = bids_identifiers(content["input"].split(", ")[0])
    if not entities:
        skipped.append(
            f"{case}: its image {scan} has no name of BIDS, such as sub-01_T2w, and is not in the derivative"
        )
        return False
    files = dict(_names(case, scan, content.get("files", {})))
    if not files:
        skipped.append(f"{case}: has no label map of discs or volumes, and is not in the derivative")
        return False
    sessions = [f"ses-{entities['ses']}"] if "ses" in entities else []
    place = Path(folder, f"sub-{entities['sub']}", *sessions, "anat")
    for name, new in files.items():
        _copy(source / name, place / new, overwrite, skipped)
        sidecar = place / f"{stem_of(new)}.json"
        if not new.endswith((".json", ".tsv")) and sidecar.name not in files.values() and not sidecar.exists():
            write_json(sidecar, {"SpatialReference": "orig"})
    return True


def _names(case: str, scan: str, files: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the name of every file that the derivative has, and its name there."""
    base, _, suffix = scan.rpartition("_")
    for name in files:
        stem = stem_of(name) if not name.endswith((".json", ".tsv")) else name.rsplit(".", 1)[0]
        pattern = NAMES.get(stem.removeprefix(case))
        if pattern is not None and name.startswith(case):
            yield name, pattern.format(scan=scan, base=base, suffix=suffix) + name.removeprefix(stem)


def _copy(source: Path, target: Path, overwrite: bool, skipped: list[str]) -> None:
    if not source.is_file():
        skipped.append(f"{source}: is missing, and not in the derivative")
        return
    if target.exists():
        if filecmp.cmp(source, target, shallow=False):
            return
        if not overwrite:
            skipped.append(f"{target}: has another content and is kept; pass --overwrite to replace it")
            return
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(target) as file:
        shutil.copyfile(source, file)


def _describe(folder: Path) -> None:
    """Write the description of the derivative; one that exists is kept."""
    path, found = folder / DESCRIPTION, _description(folder)
    if found is not None:
        programs = found.get("GeneratedBy", [])
        if PROGRAM not in [program.get("Name") for program in programs]:
            logger.warning('%s is kept; add {"Name": "%s", "Version": "%s"} to GeneratedBy', path, PROGRAM, __version__)
        return
    content = {
        "Name": f"{folder.name}, label maps by {PROGRAM}",
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": PROGRAM, "Version": __version__}],
    }
    write_json(path, content)
