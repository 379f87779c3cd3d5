"""Predictions of any tool for the cases of a dataset, by the names of their files."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from bundle.io.volume_files import DICOM_OBJECT, files_of, stem_of, volumes_in
from bundle.utils.path_options import check_path_options

from .datalist_file import Case, DatalistError
from .modalities import shared_name
from .pairing import images_in

logger = logging.getLogger(__name__)

SUFFIXES = (
    *("", "_seg", "_dseg", "_mask", "_segmentation", "_label", "_labels", "-label", "_lesion"),
    *("_pred", "_prediction", "_discs", "_label-discs_dlabel", "_labels-disc", "_label-disc"),
)
"""What the name of a prediction may append to that of its case."""

CHANNEL = "_0000"
"""How the name of the first channel of an image ends in the layout of nnU-Net; predictions are named without it."""

POINTS = (".mrk.json", ".json", ".csv")
"""Endings of files of points, those that a prediction is read from first in front."""

NOT_PREDICTIONS = ("summary", "metrics", "plan", "progress", "predict_from_raw_data_args", "dataset")
"""Names of files that tools write next to their predictions."""


def with_predictions(cases: Sequence[Case], predictions: str | Path | None) -> list[Case]:
    """Return the cases with the path of their ``"prediction"``.

    A prediction has the name of its case, image or label, and may append one of :data:`SUFFIXES`. A case without one
    gets the path at which it is expected, so that loading reports it. Other files in the folder are logged.

    Args:
        cases: cases with ``"image"`` and ``"label"``.
        predictions: folder of label maps, masks, or points of discs; None for the cases as they are.

    Raises:
        DatalistError: when it is not a folder, holds no prediction of any case, or several for one.
    """
    if predictions is None:
        return list(cases)
    check_path_options(predictions=predictions)
    folder = Path(str(predictions))
    if not folder.is_dir():
        raise DatalistError(f"predictions {folder} is not a folder; pass --predictions DIR.")
    files = _files_by_name(folder)
    found = [_prediction_of(case, files, folder) for case in cases]
    _require_different(cases, found)
    used = {str(file) for file in found if file is not None}
    if not used:
        shown = ", ".join(file.name for group in files.values() for file in group[:1]) or "no label map, mask or points"
        raise DatalistError(
            f"{folder}: holds no prediction of a case; such a file is named {_names_of(cases[0])[0]} with its ending, "
            f"and the folder holds {shown[:200]}."
        )
    others = [file for group in files.values() for file in group if str(file) not in used]
    if others:
        logger.info("%s: %d files are not scored, such as %s", folder, len(others), others[0].name)
    expected = [str(folder / _names_of(case)[0]) for case in cases]
    return [{**case, "prediction": str(file or path)} for case, file, path in zip(cases, found, expected, strict=True)]


def _require_different(cases: Sequence[Case], found: Sequence[Path | None]) -> None:
    """Check that no file is the prediction of two cases.

    Raises:
        DatalistError: when one is.
    """
    owner: dict[Path, str] = {}
    for case, file in zip(cases, found, strict=True):
        if file is not None and owner.setdefault(file, str(case["case"])) != str(case["case"]):
            raise DatalistError(
                f"{file}: could be the prediction of {owner[file]} and of {case['case']}; name predictions after these "
                "cases."
            )


def _files_by_name(folder: Path) -> dict[str, list[Path]]:
    """Return the files of a folder that may be predictions, by the lower-case names without their endings."""
    objects = sorted(file for file in folder.glob("*") if file.name.lower().endswith(DICOM_OBJECT))
    points = sorted(file for file in folder.glob("*") if file.name.lower().endswith(POINTS))
    known: dict[str, list[Path]] = {}
    _add(known, [*volumes_in(folder), *images_in(folder)], stem_of_any)
    _add(known, objects, lambda file: file.stem)
    _add(known, points, stem_of_any)
    return {name: files for name, files in known.items() if name not in NOT_PREDICTIONS}


def stem_of_any(file: Path) -> str:
    """Return the name of a volume, a 2D image or a file of points without its ending."""
    ending = next((ending for ending in POINTS if file.name.lower().endswith(ending)), None)
    if ending is not None:
        return file.name[: -len(ending)]
    stem = stem_of(file)
    return stem if stem != file.name else file.stem


def _add(known: dict[str, list[Path]], files: Iterable[Path], name: Callable[[Path], str]) -> None:
    for file in files:
        known.setdefault(name(file).lower(), []).append(file)


def _names_of(case: Case) -> list[str]:
    """Return the names that a prediction of a case may have, without a suffix."""
    stems = [stem_of_any(Path(file)) for file in files_of(case["image"])]
    names = [str(case["case"]), *stems[:1]]
    if len(stems) > 1:
        names.append(shared_name(stems))
    if isinstance(case.get("label"), str | Path):
        names.append(stem_of_any(Path(case["label"])))
    return list(dict.fromkeys(name.removesuffix(CHANNEL) for name in names if name))


def _prediction_of(case: Case, files: dict[str, list[Path]], folder: Path) -> Path | None:
    """Return the prediction of a case; a label map of its kind goes before the JSON that describes it."""
    fitting = list(
        dict.fromkeys(
            file for name in _names_of(case) for suffix in SUFFIXES for file in files.get((name + suffix).lower(), [])
        )
    )
    kind = _kind(Path(str(case.get("label", ""))))
    alike = [file for file in fitting if _kind(file) == kind] or fitting
    several = kind != "points" and len(alike) > 1
    if several:
        raise DatalistError(
            f"{folder}: holds several predictions of {case['case']}: {', '.join(file.name for file in alike)}; remove "
            "all but one."
        )
    return alike[0] if alike and not _has_failed(case, folder) else None


def _has_failed(case: Case, folder: Path) -> bool:
    """Return whether the last inference of a case failed, which may have left the files of an earlier one."""
    for name in _names_of(case):
        try:
            content = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(content, dict) and "error" in content:
            logger.warning("%s: has no prediction in %s: its last inference failed", case["case"], folder)
            return True
    return False


def _kind(file: Path) -> str:
    return "points" if file.name.lower().endswith(POINTS) else "map"
