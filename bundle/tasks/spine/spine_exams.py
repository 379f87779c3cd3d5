"""Datalist of spine exams with masks of vertebrae or discs, from which the posterior tips of the discs are derived.

A folder of exams holds volumes ``<exam>_<contrast>`` and ``<exam>_discseg`` or ``<exam>_vertebraseg`` (NIfTI, NRRD or
MetaImage). A folder may also hold the PAM50 template with its points. As the masks may lack levels that are in view, no
case is ``complete``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from monai.data import MetaTensor

from bundle.data.datalist_file import Case, DatalistError, write_datalist
from bundle.data.fold_assignment import cycle_folds
from bundle.inference.case_record import CaseRecord
from bundle.io.input_checks import GridMismatchError, LabelValuesError, UnreadableFileError
from bundle.io.load_volume import LoadVolumed
from bundle.io.volume_files import kind_of, stem_of, unread_volumes_in, volumes_in

from .disc_placement import SPACING_RANGE, check_discs_in_image
from .discs.disc_json import write_disc_json
from .discs.disc_label_map import read_label_map
from .discs.disc_points import POINTS, Disc, DiscPoint, out_of_order
from .discs.discs_from_masks import disc_below, discs_from_disc_mask, discs_from_vertebra_masks
from .mask_numbering import MASK_NUMBERINGS, MaskKind, MaskNumbering, renumber_mask

logger = logging.getLogger(__name__)

CONTRASTS = ("T2w", "T1w", "FFE")
"""Contrasts in the names of images."""

MASKS: dict[str, MaskKind] = {"discseg": "discs", "vertebraseg": "vertebrae"}
"""Kinds of masks by the ends of their names; where an exam has both, the first is used."""

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


class _Source(NamedTuple):
    """The files of an exam: its mask, and the images of its name."""

    folder: str
    name: str
    mask: Path
    kind: MaskKind
    images: Sequence[Path]


def prepare_spine_exams(
    root: str | Path,
    output: str | Path,
    *,
    point: DiscPoint = "posterior",
    numbering: MaskNumbering = "sct",
    folds: int = 3,
    seed: int = 0,
) -> dict[str, Any]:
    """Derive the disc points of all exams, and write them and a datalist.

    Image and mask of an exam are read by :class:`bundle.io.LoadVolumed`. An exam that cannot be used is logged, and
    listed under ``"skipped"``.

    Below the lowest vertebra of a mask that ends with L5, the lumbosacral disc is extrapolated and flagged; it may
    serve for training, but must not be scored (:class:`bundle.tasks.spine.LoadDiscPointsd`).

    Folds are assigned by person: copies of an exam at another resolution (``<exam>_iso``) and exams of the same person
    share a fold. Every folder is spread over all folds. The template has the fold ``folds``, which is never held out.

    Args:
        root: folder with the folders of exams.
        output: folder to write to: ``dataset.json``, whose images are absolute paths, and
            ``labels/<folder>_<exam>_discs.json``.
        point: ``"posterior"`` or ``"center"`` of the discs.
        numbering: numbering of the masks, one of :data:`.mask_numbering.MASK_NUMBERINGS`.
        folds: number of folds.
        seed: seed of the shuffle.

    Returns:
        The content of ``dataset.json``.

    Raises:
        DatalistError: when there is no exam, or none that can be used, two of them would have the same name in the
            datalist, or an option is invalid.
    """
    if point not in POINTS or numbering not in MASK_NUMBERINGS or folds < 2:
        raise DatalistError(
            f"point must be {' or '.join(POINTS)} and folds 2 or more, got {point!r} and {folds}; numbering must be "
            f"one of {', '.join(MASK_NUMBERINGS)}, got {numbering!r}."
        )
    sources = _find_sources(Path(root))
    exams, skipped = _read_all(sources, partial(_read_exam, point=point, numbering=numbering))
    if not exams:
        raise DatalistError(f"{root}: none of the {len(skipped)} exams can be used; the first: {skipped[0].message}")
    persons = [_person(exam) for exam in exams]
    fold_of = cycle_folds(sorted(persons), folds, seed=seed, stratum=lambda person: person[0])
    assigned = [(exam, fold_of[person]) for exam, person in zip(exams, persons, strict=True)]
    if point == "posterior":
        templates, failed = _read_all(_find_templates(Path(root)), _read_template)
        assigned, skipped = assigned + [(exam, folds) for exam in templates], skipped + failed
    _check_names([exam for exam, _ in assigned])
    training = [{**_write_exam(exam, Path(output)), "fold": fold} for exam, fold in assigned]
    content = {"seed": seed, "training": sorted(training, key=lambda case: str(case["image"])), "test": []}
    if skipped:
        content["skipped"] = [record.to_json() for record in skipped]
    write_datalist(content, Path(output, "dataset.json"))
    return content


def _find_sources(root: Path) -> list[_Source]:
    """Return the masks of all folders with the images of their exams; images that are not used are logged."""
    sources = []
    for folder in sorted(path for path in root.glob("*") if path.is_dir()):
        for file in unread_volumes_in(folder):
            logger.warning("%s: skipped, since its format is not read", file)
        files = [file for file in volumes_in(folder) if kind_of(file) != "dicom"]
        found = _sources_of(folder, files)
        used = {file for source in found for file in (source.mask, *source.images[:1])}
        for file in files:
            if file not in used and _has_ending(file, (*MASKS, *CONTRASTS)):
                logger.warning("%s: skipped, since it has no mask of its exam, or the exam has another one", file)
        sources += found
    if not sources:
        raise DatalistError(
            f"{root}: holds no <folder>/<exam>_discseg.nii.gz or <folder>/<exam>_vertebraseg.nii.gz; pass the folder "
            "that holds the folders of exams."
        )
    return sources


def _sources_of(folder: Path, files: Sequence[Path]) -> list[_Source]:
    """Return the masks of a folder, one per exam; names count in whatever case."""
    named = [(*stem_of(file).rpartition("_")[::2], file) for file in files]
    sources: dict[str, _Source] = {}
    for ending, kind in MASKS.items():
        for name, end, mask in named:
            if end.lower() == ending and name.lower() not in sources:
                images = [
                    file
                    for contrast in CONTRASTS
                    for other, last, file in named
                    if (other.lower(), last.lower()) == (name.lower(), contrast.lower())
                ]
                sources[name.lower()] = _Source(folder.name, name, mask, kind, images)
    return list(sources.values())


def _has_ending(file: Path, endings: Sequence[str]) -> bool:
    return stem_of(file).lower().endswith(tuple(f"_{ending.lower()}" for ending in endings))


def _find_templates(root: Path) -> list[_Source]:
    """Return the template of every folder that has one, with its points as its mask."""
    images = [image for image in sorted(root.glob(f"*/{TEMPLATE[0]}")) if image.with_name(TEMPLATE[1]).is_file()]
    return [_Source(image.parent.name, "template", image.with_name(TEMPLATE[1]), "discs", [image]) for image in images]


def _read_all(sources: Sequence[_Source], read: Callable[[_Source], _Exam]) -> tuple[list[_Exam], list[CaseRecord]]:
    """Return the exams that can be used, and the records of the others."""
    exams, failed = [], []
    for source in sources:
        record = CaseRecord(f"{source.folder}_{source.name}", str(source.mask))
        try:
            exams.append(read(source))
        except Exception as error:
            record.fail(error)
            failed.append(record)
    return exams, failed


def _read_exam(source: _Source, *, point: DiscPoint, numbering: MaskNumbering) -> _Exam:
    file = source.mask
    if not source.images:
        expected = ", ".join(f"{source.name}_{contrast}.nii.gz" for contrast in CONTRASTS)
        raise UnreadableFileError(file, "has no image in the same folder", f"add one of {expected}")
    image = source.images[0]
    loaded = LoadVolumed(("image", "label"), spacing_range=SPACING_RANGE)({"image": image, "label": file})
    _check_axes(image, loaded["image"], file, loaded["label"])
    mask, affine = loaded["label"][0].numpy(), np.asarray(loaded["label"].affine)
    mask = renumber_mask(file, mask, numbering, kind=source.kind)
    extrapolated = None
    if source.kind == "discs":
        discs = discs_from_disc_mask(mask, affine, point=point)
    else:
        discs = discs_from_vertebra_masks(mask, affine, point=point)
        extrapolated = disc_below(mask, affine, point=point)
    below = [] if extrapolated is None else [extrapolated]
    _check_order(file, [*discs, *below])
    return _Exam(source.folder, source.name, image, discs, below)


def _check_axes(image_file: Path, image: MetaTensor, mask_file: Path, mask: MetaTensor) -> None:
    """Check that an axis of size 1 is in both files or in none."""
    headers = [volume.meta["dim"] for volume in (image, mask) if "dim" in volume.meta]
    shapes = [tuple(int(size) for size in header[1 : header[0] + 1]) for header in headers]
    if len({len(shape) for shape in shapes}) > 1:
        raise GridMismatchError(
            mask_file,
            f"has the shape {shapes[1]}, its image {image_file} {shapes[0]}",
            "save it with the axes of its image",
        )


def _check_order(file: Path, discs: Sequence[Disc]) -> None:
    """Check that the discs of a mask run from head to foot."""
    if not discs:
        raise LabelValuesError(file, "has no disc between two vertebrae", "add the masks of neighboring vertebrae")
    wrong = out_of_order(discs)
    if wrong:
        raise LabelValuesError(
            file, f"has {', '.join(wrong)}", "check the orientation of the mask, and its numbering (--numbering)"
        )


def _read_template(source: _Source) -> _Exam:
    image = LoadVolumed("image", spacing_range=SPACING_RANGE)({"image": source.images[0]})["image"]
    discs = read_label_map(source.mask)
    check_discs_in_image(source.mask, discs, source.images[0], image.shape[1:], np.asarray(image.affine))
    return _Exam(source.folder, source.name, source.images[0], discs, [])


def _check_names(exams: Sequence[_Exam]) -> None:
    """Check that no two exams share a file of points, and no two persons a name."""
    files: dict[str, _Exam] = {}
    persons: dict[str, _Exam] = {}
    for exam in exams:
        same_file = files.setdefault(_label_name(exam), exam)
        same_name = persons.setdefault("_".join(_person(exam)), exam)
        other = same_name if same_file is exam else same_file
        if same_file is not exam or _person(other) != _person(exam):
            raise DatalistError(
                f"{other.folder}/{other.name} and {exam.folder}/{exam.name} would have the same name in the datalist; "
                "rename a folder or an exam."
            )


def _label_name(exam: _Exam) -> str:
    return f"{exam.folder}_{exam.name}_discs.json"


def _person(exam: _Exam) -> tuple[str, str]:
    name = exam.name.removesuffix("_iso")
    return exam.folder, SAME_PERSON.get((exam.folder, name), name)


def _write_exam(exam: _Exam, output: Path) -> Case:
    """Write the points of an exam; return its case."""
    image = str(exam.image.resolve())
    label = output / "labels" / _label_name(exam)
    label.parent.mkdir(parents=True, exist_ok=True)
    discs, extrapolated = [*exam.discs, *exam.extrapolated], [disc.value for disc in exam.extrapolated]
    write_disc_json(discs, label, image=image, extrapolated=extrapolated)
    names = [disc.name + (" (extrapolated)" if disc.value in extrapolated else "") for disc in discs]
    logger.info("%s: %s", label, ", ".join(names))
    own = {"patient": "_".join(_person(exam)), "subset": exam.folder, "complete": False}
    return {"image": image, "label": label.relative_to(output).as_posix(), **own}
