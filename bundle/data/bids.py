"""Datalist of a dataset in BIDS layout with segmentations as a derivative (https://bids-specification.readthedocs.io).

Images are ``sub-*/[ses-*/]anat/*_<suffix>.nii.gz``; segmentations ``*_dseg.nii.gz`` in the same folders of
``derivatives/<name>``, their structures in a table ``dseg.tsv``. Both are matched by the entities of their names.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bundle.io.label_tables import LabelValues
from bundle.io.volume_files import NIFTI, files_of, stem_of

from .datalist_file import Case, DatalistError, datalist_content
from .fold_assignment import split_cases
from .pairing import skip_unlabeled
from .volume_lists import folder_of, read_table

logger = logging.getLogger(__name__)

DERIVED = ("space", "desc", "atlas", "seg", "label", "res", "den")
"""Entities that the name of a segmentation may have in addition to those of its image."""

OWN_SPACE = ("orig", "individual", "native")
"""Spaces, next to the suffixes of the images, in which a segmentation lies on the grid of its image."""

SEGMENTATION = "dseg"

Entities = dict[str, str]


def prepare_bids(
    root: str | Path,
    *,
    suffixes: Sequence[str] = ("T1w",),
    derivative: str | None = None,
    labels: str | Path | None = None,
    test_share: float = 0.2,
    folds: int = 5,
    seed: int = 0,
) -> dict[str, Any]:
    """List the images of a BIDS dataset that have a segmentation; sessions of a subject stay together.

    Args:
        root: folder of the dataset, with ``sub-*`` and ``derivatives``; or that of a derivative which holds images and
            segmentations side by side.
        suffixes: suffixes of the images that are the channels, in their order.
        derivative: folder in ``derivatives`` that holds the segmentations; None where only one does.
        labels: table of the structures, see :func:`bundle.io.label_tables.read_label_table`; None for the ``*dseg.tsv``
            of the derivative.
        test_share: share of the cases that is held out as test, from 0 to 1.
        folds: number of folds that the others are assigned to.
        seed: seed of the shuffle.

    Returns:
        The content of a datalist in MSD form, with paths relative to ``root``.

    Raises:
        DatalistError: when there is no image with a segmentation, several derivatives or tables could be meant, the
            table cannot be used, or a number is out of range.
    """
    known, table, named = _find_cases(root, suffixes, derivative, labels)
    parts = split_cases(root, known, test_share=test_share, folds=folds, seed=seed)
    return datalist_content(root, parts, seed=seed, modality=suffixes, table=table, labels=named)


def list_bids(root: str | Path) -> dict[str, Any]:
    """List a BIDS dataset without a split: its folds are not assigned. The suffix of its images is found.

    Args:
        root: folder of the dataset, with ``sub-*`` and ``derivatives``.

    Returns:
        The content of a datalist in MSD form, with paths relative to ``root``.

    Raises:
        DatalistError: as :func:`prepare_bids`; when images of several suffixes have a segmentation.
    """
    folder = Path(root)
    images = {key: file for suffix in _suffixes_of(folder) for key, file in _images(folder, [suffix]).items()}
    masks = _find_volumes(_derivative(folder, None), [SEGMENTATION])
    bases = {_base(entities(mask)) for mask in masks}
    fitting = sorted({dict(key)["suffix"] for key in images if _base(dict(key)) in bases})
    if len(fitting) > 1:
        raise DatalistError(
            f"{root}: images of the suffixes {', '.join(fitting)} have a segmentation; choose the channels by "
            f"{_command(root)} --suffixes {' '.join(fitting)}"
        )
    suffixes = fitting or ["T1w"]
    known, table, named = _find_cases(root, suffixes, None, None)
    return datalist_content(root, {"training": known}, seed=0, modality=suffixes, table=table, labels=named)


def is_bids(root: Path) -> bool:
    """Return whether a folder has subjects with segmentations in the layout of BIDS."""
    has_subjects = any(path.is_dir() for path in root.glob("sub-*"))
    return has_subjects and ((root / "derivatives").is_dir() or any(root.glob(f"sub-*/**/*_{SEGMENTATION}.nii*")))


def _suffixes_of(root: Path) -> list[str]:
    names = {
        entities(file)["suffix"]
        for folder in root.glob("sub-*")
        for file in folder.rglob("*")
        if file.name.lower().endswith(NIFTI)
    }
    return sorted(names - {SEGMENTATION})


def _base(found: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return _key({name: value for name, value in found.items() if name not in (*DERIVED, "suffix")})


def _find_cases(
    root: str | Path, suffixes: Sequence[str], derivative: str | None, labels: str | Path | None
) -> tuple[list[Case], LabelValues | None, dict[str, str] | None]:
    """Return the labeled cases, and the table or the names of the structures."""
    folder = folder_of(root, "sub-* and derivatives")
    source = _derivative(folder, derivative)
    found = [(file, entities(file)) for file in _find_volumes(source, [SEGMENTATION])]
    masks = [item for item in found if _in_own_space(item[0], item[1], suffixes)]
    images = _images(folder, suffixes)
    cases = [case for case in (_case(images, mask, found, suffixes) for mask, found in masks) if case is not None]
    known = skip_unlabeled(_require_one_label(cases))
    used = {file for case in known for file in files_of(case["image"])}
    for file in sorted(set(images.values())):
        if str(file) not in used:
            logger.warning("%s: skipped, since no segmentation has the same entities", file)
    if not known:
        raise DatalistError(
            f"{root}: holds no image {', '.join(suffixes)} with a *_{SEGMENTATION}.nii.gz in {source}, both named "
            f"sub-*; choose them by {_command(root)} --suffixes SUFFIX --derivative NAME"
        )
    table = read_table(labels) if labels is not None else _structures(source, _command(root))
    plain = list(table.values()) == [[value] for value in range(1, len(table) + 1)]
    named = {"0": "background", **{str(values[0]): name for name, values in table.items()}} if plain else None
    return known, None if plain else table, named


def entities(file: Path) -> Entities:
    """Return the entities in the name of a BIDS file, and its suffix as ``"suffix"``."""
    *pairs, suffix = stem_of(file).split("_")
    found = dict(pair.split("-", 1) for pair in pairs if "-" in pair)
    return {**found, "suffix": suffix}


def _find_volumes(root: Path, suffixes: Sequence[str]) -> list[Path]:
    """List the volumes named ``sub-*`` with one of the suffixes, at whatever depth, but not in derivatives below."""
    return sorted(
        file
        for folder in root.glob("sub-*")
        for file in folder.rglob("*")
        if file.name.lower().endswith(NIFTI)
        and file.name[0] != "."
        and file.is_file()
        and "sub" in entities(file)
        and entities(file)["suffix"] in suffixes
    )


def _derivative(root: Path, name: str | None) -> Path:
    """Return the folder of the derivative that holds segmentations."""
    if name is not None:
        return folder_of(root / "derivatives" / name, f"the segmentations; {root / 'derivatives'} has no {name!r}")
    folders = sorted(path for path in (root / "derivatives").glob("*") if path.is_dir())
    holding = [path for path in [root, *folders] if _find_volumes(path, [SEGMENTATION])]
    if len(holding) != 1:
        found = ", ".join(path.name for path in holding) or f"none with *_{SEGMENTATION}.nii.gz"
        raise DatalistError(
            f"{root}: one derivative with segmentations is wanted, found {found}; choose it by {_command(root)} "
            "--derivative NAME"
        )
    return holding[0]


def _in_own_space(file: Path, found: Entities, suffixes: Sequence[str]) -> bool:
    own = found.get("space", "orig") in (*OWN_SPACE, *suffixes)
    if not own:
        logger.warning("%s: skipped, since it lies in the space %s, not on its image's grid", file, found["space"])
    return own


def _images(root: Path, suffixes: Sequence[str]) -> dict[tuple[tuple[str, str], ...], Path]:
    """Return the images by their entities; one with ``desc`` also without it where no other image is meant by that."""
    found = {_key(entities(file)): file for file in _find_volumes(root, suffixes)}
    described: dict[tuple[tuple[str, str], ...], list[Path]] = {}
    for key, file in found.items():
        described.setdefault(tuple(pair for pair in key if pair[0] != "desc"), []).append(file)
    return {key: files[0] for key, files in described.items() if len(files) == 1} | found


def _command(root: str | Path) -> str:
    """Return the command that takes options for a dataset."""
    return f"python -m bundle prepare bids {root}"


def _key(found: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(found.items()))


def _case(
    images: Mapping[tuple[tuple[str, str], ...], Path], mask: Path, found: Entities, suffixes: Sequence[str]
) -> Case | None:
    base = {name: value for name, value in found.items() if name not in (*DERIVED, "suffix")}
    files = [images.get(_key({**base, "suffix": suffix})) for suffix in suffixes]
    missing = [suffix for suffix, file in zip(suffixes, files, strict=True) if file is None]
    if missing:
        logger.warning("%s: skipped, since there is no image %s of the same entities", mask, ", ".join(missing))
        return None
    paths = [str(file) for file in files]
    subject = f"sub-{found['sub']}"
    image = paths if len(paths) > 1 else paths[0]
    return {"image": image, "label": str(mask), "patient": subject}


def _require_one_label(cases: Sequence[Case]) -> list[Case]:
    """Return the cases.

    Raises:
        DatalistError: when an image has several segmentations.
    """
    label_of: dict[str, str] = {}
    for case in cases:
        first = str(case["image"])
        if first in label_of:
            raise DatalistError(
                f"{case['image']}: has several segmentations, {label_of[first]} and {case['label']}; put those to use "
                "into a separate derivative, and name it by --derivative."
            )
        label_of[first] = case["label"]
    return list(cases)


def _structures(source: Path, command: str) -> dict[str, Any]:
    """Return the table of the structures: at the top of the derivative, else those next to the segmentations together.

    Raises:
        DatalistError: when there is none, or several, or two of those next to segmentations contradict each other.
    """
    top, below = sorted(source.glob(f"*{SEGMENTATION}.tsv")), sorted(source.rglob(f"*{SEGMENTATION}.tsv"))
    if len(top) > 1 or not below:
        found = ", ".join(path.name for path in top) or "none"
        raise DatalistError(
            f"{source}: one table *{SEGMENTATION}.tsv is wanted, found {found}; pass one by {command} --labels FILE"
        )
    table: dict[str, Any] = {}
    source_of: dict[str, Path] = {}
    name_of: dict[str, str] = {}
    for path in top or below:
        for name, values in read_table(path).items():
            shared = [name_of.setdefault(str(value), name) for value in values]
            if table.setdefault(name, values) != values or set(shared) - {name}:
                other = source_of.get(name) or next(source_of[owner] for owner in shared if owner != name)
                raise DatalistError(
                    f"{path}: contradicts {other} about {name}; pass one table by {command} --labels FILE"
                )
            source_of.setdefault(name, path)
    return table
