"""Datalist of BraTS 2018, gliomas in four MRI modalities (Menze et al., doi:10.1109/TMI.2014.2377694).

Layouts: as published, ``{HGG,LGG}/CASE/CASE_{flair,t1,t1ce,t2,seg}.nii.gz``; of the original project,
``{train,test}/CASE/...``. Later years have the same names up to 2021; since 2023 the enhancing tumor has the value 3,
which the table below does not know, so that it is refused and not lost.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .datalist_file import Case, DatalistError, datalist_content
from .fold_assignment import split_cases
from .modalities import describe_missing, find_images, find_other_volumes
from .volume_lists import folder_of

logger = logging.getLogger(__name__)

MODALITIES = ("flair", "t1", "t1ce", "t2")
"""The four, in the order of the channels."""

LABEL_VALUES = {"necrotic_core": [1], "edema": [2], "enhancing": [4]}
"""Values in the label maps; the necrotic core includes the non-enhancing one."""

VISITS = (r"(Bra[tT][sS]1[789]_.+)_\d+", r"(BraTS-\w+-\d+)-\d+")
"""Names of cases whose last number counts the visits of a patient."""

GRADES = ("HGG", "LGG")


def prepare_brats2018(
    root: str | Path,
    *,
    modalities: Sequence[str] = MODALITIES,
    label: str = "seg",
    test_share: float = 0.2,
    folds: int = 5,
    seed: int = 0,
) -> dict[str, Any]:
    """List BraTS 2018; grades have similar shares in all parts, and the visits of a patient stay together.

    Cases without a label map, such as those of the challenge's validation part, are listed as test cases to segment.

    Args:
        root: folder of the dataset, in either layout, at whatever depth.
        modalities: how the names of the images end, in the order of the channels.
        label: how the names of the label maps end.
        test_share: share of the cases that is held out as test, from 0 to 1; without effect where there are ``train``
            and ``test``.
        folds: number of folds that the others are assigned to.
        seed: seed of the shuffle.

    Returns:
        The content of a datalist in MSD form, with paths relative to ``root``.

    Raises:
        DatalistError: when the folder holds no labeled case, or a number is out of range.
    """
    folder = folder_of(root, "HGG and LGG, or train and test")
    endings = ", ".join(modalities)
    images = find_images(folder, modalities, label=label)
    for image in images:
        if image.missing:
            logger.warning("%s; skipped", describe_missing(image))
    for file in find_other_volumes(folder, images)[0]:
        logger.warning("%s: skipped, since its name ends with none of %s", file, endings)
    cases = [_case(folder, image) for image in images if not image.missing]
    known = [case for case in cases if "label" in case]
    if not known:
        raise DatalistError(
            f"{root}: holds no case with files that end with {endings} and {label}; name the folder that holds them, "
            "or how they end, with --modalities and --label."
        )
    held = [case for case in known if "test" in _folders(folder, case["image"][0])]
    share = 0.0 if held else test_share
    parts = split_cases(
        root,
        [case for case in known if case not in held],
        test_share=share,
        folds=folds,
        seed=seed,
        stratum=lambda case: str(case.get("grade", "")),
    )
    parts["test"] += held + [case for case in cases if "label" not in case]
    return datalist_content(root, parts, seed=seed, modality=modalities, table=LABEL_VALUES)


def _case(root: Path, image: Any) -> Case:
    found = next((match[1] for visit in VISITS if (match := re.fullmatch(visit, image.name))), image.name)
    grade = [part for part in _folders(root, image.files[0]) if part in GRADES]
    return {
        "image": image.files,
        **({} if image.label is None else {"label": image.label}),
        "patient": found,
        **({"grade": grade[-1]} if grade else {}),
    }


def _folders(root: Path, file: str) -> tuple[str, ...]:
    return Path(file).relative_to(root).parts[:-1]
