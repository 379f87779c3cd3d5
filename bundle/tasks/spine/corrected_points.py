"""Datalist of images and the points of their discs, such as the corrected results of an inference."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from monai.data import MetaTensor

from bundle.data.datalist_file import Case, DatalistError, write_datalist
from bundle.data.fold_assignment import cycle_folds
from bundle.data.patients import find_subject
from bundle.inference.case_record import CaseRecord
from bundle.io.input_checks import LabelValuesError, UnreadableFileError
from bundle.io.load_volume import LoadVolumed
from bundle.io.volume_files import stem_of, volumes_in

from .disc_placement import SPACING_RANGE, check_discs_in_image
from .discs.disc_errors import DiscFileError
from .discs.disc_json import extrapolated_discs
from .discs.disc_points import Disc, out_of_order
from .discs.disc_reader import read_discs
from .load_disc_points import LoadDiscPointsd

logger = logging.getLogger(__name__)

FORMATS: dict[str, tuple[str, ...]] = {
    "csv": (".csv",),
    "mrk.json": (".mrk.json",),
    "json": (".json",),
    "label_map": ("_label-discs_dlabel.nii.gz", "_labels-disc.nii.gz", "_labels-disc-manual.nii.gz"),
    "poi": ("_poi.json",),
}
"""What the name of a file of discs adds to that of its image, by format."""

SAME_MM = 2.0
"""Two files of a case that differ by more than this are reported, as only one of them was corrected."""


def prepare_spine_points(
    root: str | Path,
    output: str | Path,
    *,
    labels: str | Path | None = None,
    points_format: str = "csv",
    complete: bool = False,
    folds: int = 5,
    seed: int = 0,
) -> dict[str, Any]:
    """Join images with the files of their discs, and write a datalist.

    The names are those of the results of an inference: ``name.csv``, ``name.mrk.json``, ``name.json``,
    ``name_label-discs_dlabel.nii.gz`` and ``name_poi.json`` belong to ``name.nii.gz``. An image without a file of the
    format is logged. A file that cannot be used, has discs outside of its image or out of order, is listed under
    ``"skipped"``. A file of another format with other discs is logged: only one of the two was corrected.

    Args:
        root: folder of the images.
        output: datalist to write; its paths are absolute.
        labels: folder of the files of discs; None for that of the images.
        points_format: one of :data:`FORMATS`, the one that was corrected.
        complete: whether every disc in view has a point.
        folds: number of folds, by subject of BIDS or by image.
        seed: seed of the shuffle.

    Returns:
        The content of the datalist.

    Raises:
        DatalistError: when no image has a usable file, or an option is invalid.
    """
    if points_format not in FORMATS or folds < 2:
        formats = ", ".join(FORMATS)
        raise DatalistError(f"the format must be one of {formats}, folds 2 or more, got {points_format!r}, {folds}.")
    folder = Path(root if labels is None else labels)
    cases, skipped = [], []
    for image in volumes_in(Path(root)):
        label = _find(folder, stem_of(image), points_format)
        if label is None:
            if not image.name.endswith(FORMATS["label_map"]):
                expected = stem_of(image) + FORMATS[points_format][0]
                logger.warning("%s: skipped, since %s holds no %s", image, folder, expected)
            continue
        record = CaseRecord(stem_of(image), str(label))
        try:
            cases.append(_check(image, label, folder))
        except Exception as error:
            record.fail(error)
            skipped.append(record)
    if not cases:
        missing = f"{folder} holds no {points_format} named after an image"
        reason = skipped[0].message.rstrip(".") if skipped else missing
        raise DatalistError(f"{root}: no image has discs that can be used: {reason}.")
    fold_of = cycle_folds(sorted(str(case["patient"]) for case in cases), folds, seed=seed)
    training = [{**case, "complete": complete, "fold": fold_of[str(case["patient"])]} for case in cases]
    content: dict[str, Any] = {"seed": seed, "training": training, "test": []}
    if skipped:
        content["skipped"] = [record.to_json() for record in skipped]
    write_datalist(content, output)
    return content


def _find(folder: Path, name: str, points_format: str) -> Path | None:
    """Return the file of discs of an image in a format."""
    files = [folder / f"{name}{ending}" for ending in FORMATS[points_format]]
    return next((file for file in files if file.is_file()), None)


def _check(image: Path, label: Path, folder: Path) -> Case:
    """Return the case of an image and its discs, which must fit it."""
    loaded: MetaTensor = LoadVolumed("image", spacing_range=SPACING_RANGE)({"image": image})["image"]
    points = LoadDiscPointsd("label")({"label": label, "image": loaded})["points"]
    if not len(points):
        raise UnreadableFileError(label, "holds no disc", "add its points, or remove the file")
    _check_places(image, label, loaded)
    _compare_formats(image, label, folder, np.asarray(loaded.affine))
    name = stem_of(image)
    patient = find_subject(image.name) or name
    return {"image": str(image.resolve()), "label": str(label.resolve()), "patient": patient}


def _check_places(image: Path, label: Path, loaded: MetaTensor) -> None:
    """Check that the discs of a file run from head to foot, and that all but extrapolated ones lie in the image."""
    affine = np.asarray(loaded.affine)
    discs = read_discs(label, affine=affine)
    wrong = out_of_order(discs)
    if wrong:
        raise LabelValuesError(label, f"has {', '.join(wrong)}", "correct the levels or the points")
    extrapolated = extrapolated_discs(label)
    measured = [disc for disc in discs if disc.value not in extrapolated]
    check_discs_in_image(label, measured, image, loaded.shape[1:], affine)


def _compare_formats(image: Path, label: Path, folder: Path, affine: np.ndarray) -> None:
    """Log the files of a case with other discs than the one that is used."""
    used = _by_number(read_discs(label, affine=affine))
    limit = SAME_MM + float(np.linalg.norm(affine[:3, :3], axis=0).max())
    for points_format in FORMATS:
        other = _find(folder, stem_of(image), points_format)
        if other is None or other == label:
            continue
        try:
            found = _by_number(read_discs(other, affine=affine))
        except DiscFileError as error:
            logger.warning("%s", error)
            continue
        moved = [number for number in used.keys() & found.keys() if _distance(used[number], found[number]) > limit]
        if moved or (used.keys() != found.keys() and points_format != "label_map"):
            logger.warning("%s has other discs than %s, which is used; --format names the corrected one", other, label)


def _by_number(discs: list[Disc]) -> Mapping[int, Disc]:
    return {disc.value: disc for disc in discs}


def _distance(first: Disc, second: Disc) -> float:
    return float(np.linalg.norm(np.subtract(first.position, second.position)))
