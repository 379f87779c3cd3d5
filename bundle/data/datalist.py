"""Lists of labeled cases, from a dataset or a datalist.

A case is a dictionary ``{"case": name, "image": path, "label": path}``; an image of several files, one per channel, is
a list of paths. Names are unique in a list, since outputs are named after them.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, get_args

from bundle.utils.path_options import check_path_options

from .case_names import name_cases
from .case_review import CaseReview
from .datalist_file import Case, DatalistError, read_fold, read_section
from .fold_assignment import assign_folds
from .layouts import read_content
from .patients import parted_patients

logger = logging.getLogger(__name__)

OPTIONAL = {"patient": "", "group": "", "subset": "", "complete": True}
"""Keys that a case may have, and their values for one that has not."""

Split = Literal["training", "validation", "test", "all"]
SPLITS: tuple[Split, ...] = get_args(Split)


def load_datalist(
    dataset_dir: str | Path, datalist: str | Path | None = None, folds: int = 5, *, option: str = "dataset_dir"
) -> dict[str, list[Case]]:
    """Read the labeled cases of a dataset as ``{"training": [...], "test": [...]}``; training cases have a ``fold``.

    Args:
        dataset_dir: folder of the dataset. Without ``datalist``, its ``dataset.json`` is read, or its layout, see
            :func:`bundle.data.layouts.read_content`.
        datalist: JSON file in MSD form; its paths are relative to ``dataset_dir``. Training items may have a ``fold``;
            a section ``validation`` counts as fold 0. Test items count where they have a label.
        folds: number of folds that cases are assigned to, with a fixed seed, where the dataset names none.
        option: name of the option that names the folder, for messages.

    Raises:
        DatalistError: when the folder or file is missing or has another form, or a training image has no label.
    """
    check_path_options(**{option: dataset_dir}, datalist=datalist)
    root = Path(dataset_dir)
    if not str(dataset_dir) or not root.is_dir():
        raise DatalistError(f"{option} {str(dataset_dir)!r} is not a folder; pass --{option} DIR.")
    path, content = read_content(root, datalist)
    training = read_section(content, "training", path, root)
    validation = read_section(content, "validation", path, root)
    test = [item for item in read_section(content, "test", path, root) if "label" in item]
    for item in training + validation:
        if "label" not in item:
            raise DatalistError(f"{path}: {item['image']} has no label, but is one of the training cases.")
    for item in training:
        item["fold"] = read_fold(item, path, 1 if validation else -1)
    training += [{**item, "fold": 0} for item in validation]
    unassigned = [item["image"] for item in training if item["fold"] < 0]
    if unassigned and len(unassigned) < len(training):
        raise DatalistError(
            f"{path}: some cases have a 'fold' and others have none, the first of these: {unassigned[0]}."
        )
    if unassigned:
        training = assign_folds(training, folds, root=root)
    log_parted_patients(training, test, root)
    cases = name_cases(training + test)
    return {"training": cases[: len(training)], "test": cases[len(training) :]}


def select_cases(
    dataset_dir: str | Path,
    split: Split,
    datalist: str | Path | None = None,
    fold: int | str | None = 0,
    *,
    review: CaseReview | None = None,
) -> list[Case]:
    """Return the labeled cases of one split of a dataset.

    Args:
        dataset_dir: folder of the dataset, see :func:`load_datalist`.
        split: ``"training"`` (all folds except ``fold``), ``"validation"`` (``fold``), ``"test"`` or ``"all"``.
        datalist: JSON file in MSD form, see :func:`load_datalist`.
        fold: the fold that is held out for validation; "all" or None to train with all cases, which are then those of
            the validation, too.
        review: leaves out cases by their ratings; None for none.

    Raises:
        DatalistError: as :func:`load_datalist`; when the split is unknown or empty, or the review fits other cases.
    """
    lists = load_datalist(dataset_dir, datalist)
    return choose_split(lists, split, parse_fold(fold), datalist or dataset_dir, review=review)


def parse_fold(fold: int | str | None) -> int | None:
    """Return the fold that is held out; None for ``"all"``: none is.

    Raises:
        DatalistError: when it is neither an integer nor ``"all"``.

    Examples:
        >>> parse_fold("1"), parse_fold("all")
        (1, None)
    """
    text = "all" if fold is None else str(fold).lower()
    if not (text == "all" or text.isdigit()):
        raise DatalistError(f"fold must be a number from 0 on, or all to train with all cases, got {fold!r}.")
    return None if text == "all" else int(text)


def log_parted_patients(training: Sequence[Case], test: Sequence[Case], root: str | Path) -> None:
    """Log the patients that have cases in several folds, or in a fold and the test set.

    Args:
        training: cases with their ``"fold"``.
        test: cases of the test set.
        root: folder of the dataset.
    """
    parts = [f"fold {case['fold']}" for case in training] + ["test"] * len(test)
    parted = parted_patients([*training, *test], parts, root)
    if parted:
        logger.warning(
            "%s: %d patients lie in several parts of the split, such as %s; assign new folds, e.g. by python -m bundle "
            "prepare",
            *(root, len(parted), parted[0]),
        )


def choose_split(
    lists: Mapping[str, Sequence[Case]],
    split: Split,
    fold: int | None,
    source: str | Path,
    *,
    review: CaseReview | None = None,
) -> list[Case]:
    """Return the cases of one split.

    Args:
        lists: cases by section, ``"training"`` with their ``"fold"`` and ``"test"``.
        split: as of :func:`select_cases`.
        fold: the fold that is held out for validation; None to train with all cases, which are then those of the
            validation, too.
        source: what errors name.
        review: leaves out cases by their ratings; None for none.

    Raises:
        DatalistError: when there is no such split or fold, it is empty, or the review fits other cases.
    """
    if split not in SPLITS:
        raise DatalistError(f"split must be one of {', '.join(SPLITS)}, got {split!r}.")
    folds = sorted({case["fold"] for case in lists["training"]})
    if split in ("training", "validation") and folds and fold is not None and fold not in folds:
        raise DatalistError(f"{source}: has no fold {fold}, only {folds}; pass --fold.")
    chosen = {
        "training": [case for case in lists["training"] if case["fold"] != fold],
        "validation": [case for case in lists["training"] if fold is None or case["fold"] == fold],
        "test": list(lists["test"]),
        "all": [*lists["training"], *lists["test"]],
    }
    if not chosen[split]:
        counts = ", ".join(f"{name} {len(cases)}" for name, cases in chosen.items())
        raise DatalistError(
            f"{source}: the split {split!r} (fold {fold}) holds no labeled case; the splits hold: {counts}."
        )
    if fold is None and split == "validation":
        logger.warning("%s: no fold is held out (fold all): figures of the validation are of training cases", source)
    cases = chosen[split] if review is None else review.select(chosen[split], chosen["all"])
    logger.info("%s: %d cases of the split %r (fold %s)", source, len(cases), split, fold)
    return _with_equal_keys(cases)


def _with_equal_keys(cases: Sequence[Case]) -> list[Case]:
    """Return cases with the same optional keys, so that they can share a batch."""
    used = {key: value for key, value in OPTIONAL.items() if any(key in case for case in cases)}
    return [{**used, **case} for case in cases]
