"""Datalist of spine exams with masks of vertebrae or discs, from which the posterior tips of the discs are derived.

A folder of exams holds ``<exam>_<contrast>.nii.gz`` and ``<exam>_discseg.nii.gz`` or ``<exam>_vertebraseg.nii.gz``,
where discs have their number and vertebrae that of the disc above them. A folder may also hold the PAM50 template with
its points. As the masks may lack levels that are in view, no case is ``complete``.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, NamedTuple

import nibabel as nib
import numpy as np

from bundle.data.datalist_file import Case, DatalistError, write_datalist
from bundle.data.fold_assignment import cycle_folds
from bundle.io.length_units import nifti_affine

from .discs.disc_json import write_disc_json
from .discs.disc_label_map import read_label_map
from .discs.disc_points import POINTS, Disc, DiscPoint
from .discs.discs_from_masks import disc_below, discs_from_disc_mask, discs_from_vertebra_masks

logger = logging.getLogger(__name__)

CONTRASTS = ("T2w", "T1w", "FFE")
"""Contrasts in the names of images."""

TEMPLATE = ("PAM50_small_t2.nii.gz", "PAM50_small_label_discPosterior.nii.gz")
"""Names of the template and of its posterior disc tips."""

SAME_PERSON = {("thoracolumbar_t1_t2_vertebrae", "exam11"): "exam10"}
"""Exams, by folder, that show the same person as another exam."""


class _Exam(NamedTuple):
    """An exam with its measured and extrapolated discs."""

    folder: str
    name: str
    image: Path
    discs: list[Disc]
    extrapolated: list[Disc]


def prepare_spine_exams(
    root: str | Path, output: str | Path, *, point: DiscPoint = "posterior", folds: int = 3, seed: int = 0
) -> dict[str, Any]:
    """Derive the disc points of all exams, and write them and a datalist.

    Below the lowest vertebra of a mask that ends with L5, the lumbosacral disc is extrapolated and flagged; it may
    serve for training, but must not be scored (:class:`bundle.tasks.spine.LoadDiscPointsd`).

    Folds are assigned by person: copies of an exam at another resolution (``<exam>_iso``) and exams of the same person
    share a fold. Every folder is spread over all folds. The template has the fold ``folds``, which is never held out.

    Args:
        root: folder with the folders of exams.
        output: folder to write to: ``dataset.json``, whose images are absolute paths, and
            ``labels/<folder>_<exam>_discs.json``.
        point: ``"posterior"`` or ``"center"`` of the discs.
        folds: number of folds.
        seed: seed of the shuffle.

    Returns:
        The content of ``dataset.json``.

    Raises:
        DatalistError: when there is no exam, a mask has no image, or ``point`` or ``folds`` are invalid.
    """
    if point not in POINTS or folds < 2:
        raise DatalistError(f"point must be {' or '.join(POINTS)} and folds 2 or more, got {point!r} and {folds}.")
    masks = sorted(Path(root).glob("*/*_discseg.nii.gz")) + sorted(Path(root).glob("*/*_vertebraseg.nii.gz"))
    if not masks:
        raise DatalistError(
            f"{root}: holds no <folder>/<exam>_discseg.nii.gz or <folder>/<exam>_vertebraseg.nii.gz; pass the folder "
            "that holds the folders of exams."
        )
    exams = [_read_exam(mask, point) for mask in masks]
    persons = [_person(exam) for exam in exams]
    fold_of = cycle_folds(sorted(persons), folds, seed=seed, stratum=lambda person: person[0])
    assigned = [(exam, fold_of[person]) for exam, person in zip(exams, persons, strict=True)]
    if point == "posterior":
        assigned += [(exam, folds) for exam in _templates(Path(root))]
    training = [{**_write_exam(exam, Path(output)), "fold": fold} for exam, fold in assigned]
    content = {"seed": seed, "training": sorted(training, key=lambda case: str(case["image"])), "test": []}
    write_datalist(content, Path(output, "dataset.json"))
    return content


def _read_exam(file: Path, point: DiscPoint) -> _Exam:
    name, kind = file.name.removesuffix(".nii.gz").rsplit("_", 1)
    images = [file.with_name(f"{name}_{contrast}.nii.gz") for contrast in CONTRASTS]
    image = next((image for image in images if image.is_file()), None)
    if image is None:
        listed = ", ".join(path.name for path in images)
        raise DatalistError(f"{file}: has no image in the same folder; one of {listed} is expected.")
    volume: Any = nib.load(file)
    mask, affine = np.rint(np.asarray(volume.dataobj)).astype(np.uint8), nifti_affine(volume)
    extrapolated = None
    if kind == "discseg":
        discs = discs_from_disc_mask(mask, affine, point=point)
    else:
        discs = discs_from_vertebra_masks(mask, affine, point=point)
        extrapolated = disc_below(mask, affine, point=point)
    return _Exam(file.parent.name, name, image, discs, [] if extrapolated is None else [extrapolated])


def _templates(root: Path) -> list[_Exam]:
    """Return the template of every folder that has one."""
    images = [image for image in sorted(root.glob(f"*/{TEMPLATE[0]}")) if image.with_name(TEMPLATE[1]).is_file()]
    return [
        _Exam(image.parent.name, "template", image, read_label_map(image.with_name(TEMPLATE[1])), [])
        for image in images
    ]


def _person(exam: _Exam) -> tuple[str, str]:
    name = exam.name.removesuffix("_iso")
    return exam.folder, SAME_PERSON.get((exam.folder, name), name)


def _write_exam(exam: _Exam, output: Path) -> Case:
    """Write the points of an exam; return its case."""
    image = str(exam.image.resolve())
    label = output / "labels" / f"{exam.folder}_{exam.name}_discs.json"
    label.parent.mkdir(parents=True, exist_ok=True)
    discs, extrapolated = [*exam.discs, *exam.extrapolated], [disc.value for disc in exam.extrapolated]
    write_disc_json(discs, label, image=image, extrapolated=extrapolated)
    names = [disc.name + (" (extrapolated)" if disc.value in extrapolated else "") for disc in discs]
    logger.info("%s: %s", label, ", ".join(names))
    own = {"patient": "_".join(_person(exam)), "subset": exam.folder, "complete": False}
    return {"image": image, "label": label.relative_to(output).as_posix(), **own}
