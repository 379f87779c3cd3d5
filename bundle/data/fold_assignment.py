"""Assignment of cases to a test set and to folds, by a seeded shuffle that keeps patients together."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Hashable, Iterable, Sequence
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

from bundle.io.volume_files import files_of

from .datalist_file import Case, DatalistError
from .patients import patients_of

logger = logging.getLogger(__name__)

T = TypeVar("T", bound=Hashable)


def assign_folds(cases: Sequence[Case], folds: int, *, seed: int = 0, root: str | Path | None = None) -> list[Case]:
    """Return the cases with a ``"fold"``; cases of one patient share a fold, see :func:`.patients.patients_of`.

    Args:
        cases: cases; one without a patient is alone.
        folds: number of folds.
        seed: seed of the shuffle.
        root: folder of the dataset.

    Examples:
        >>> cases = [{"image": "1", "patient": "a"}, {"image": "2", "patient": "a"}, {"image": "3", "patient": "b"}]
        >>> [case["fold"] for case in assign_folds(cases, 2)]
        [0, 0, 1]
    """
    patients = [patient or number for number, patient in enumerate(patients_of(cases, root))]
    fold_of = cycle_folds(patients, folds, seed=seed)
    return [{**case, "fold": fold_of[patient]} for case, patient in zip(cases, patients, strict=True)]


def cycle_folds(
    units: Iterable[T], folds: int, *, seed: int = 0, stratum: Callable[[T], str] = lambda unit: ""
) -> dict[T, int]:
    """Return the fold of every unit; shuffled units are assigned to the folds in turn, stratum after stratum.

    Args:
        units: what stays together, such as patients.
        folds: number of folds.
        seed: seed of the shuffle.
        stratum: kind of a unit; every kind is spread over all folds.
    """
    strata = _by_stratum(dict.fromkeys(units), stratum)
    shuffler, turn = random.Random(seed), count()
    fold_of: dict[T, int] = {}
    for kind in sorted(strata):
        shuffler.shuffle(strata[kind])
        fold_of.update({unit: next(turn) % folds for unit in strata[kind]})
    return fold_of


def balance_folds(sizes: Iterable[int], folds: int) -> list[int]:
    """Return a fold for every unit, each time the fold that holds the fewest cases so far.

    Args:
        sizes: number of cases of every unit.
        folds: number of folds.
    """
    filled, chosen = [0] * folds, []
    for size in sizes:
        fold = filled.index(min(filled))
        filled[fold] += size
        chosen.append(fold)
    return chosen


def hold_out(sizes: Sequence[int], share: float) -> list[bool]:
    """Return for every unit whether it is held out, so that the units come as near to a share of the cases as they can.

    Args:
        sizes: number of cases of every unit, in a shuffled order.
        share: share of the cases to hold out, from 0 to 1.
    """
    wanted, held = round(sum(sizes) * share), 0
    chosen = []
    for size in sizes:
        is_held = abs(held + size - wanted) < abs(held - wanted)
        held += size * is_held
        chosen.append(is_held)
    return chosen


def split_cases(
    root: str | Path,
    cases: Sequence[Case],
    *,
    test_share: float,
    folds: int,
    seed: int,
    stratum: Callable[[Case], str] = lambda case: "",
) -> dict[str, list[Case]]:
    """Assign cases to a test set and folds by a seeded shuffle; cases of one patient stay together.

    Args:
        root: folder of the dataset.
        cases: cases; one without a patient is alone, see :func:`.patients.patients_of`.
        test_share: share of the cases that is held out as test, from 0 to 1.
        folds: number of folds that the others are assigned to.
        seed: seed of the shuffle.
        stratum: kind of a case; every kind has a similar share in all parts.

    Returns:
        ``{"training": [...], "test": [...]}``; training cases have a ``"fold"``.

    Raises:
        DatalistError: when a number is out of range, or there are too few groups for the folds.
    """
    if not 0 <= test_share <= 1 or folds < 2:
        raise DatalistError(f"test_share must lie in [0, 1] and folds be 2 or more, got {test_share} and {folds}.")
    groups: dict[tuple[str | None, str], list[Case]] = {}
    ordered = sorted(cases, key=lambda case: files_of(case["image"]))
    for case, patient in zip(ordered, patients_of(ordered, root), strict=True):
        groups.setdefault((patient, "" if patient else files_of(case["image"])[0]), []).append(case)
    strata = _by_stratum(groups.values(), lambda group: stratum(group[0]))
    shuffler = random.Random(seed)
    test: list[Case] = []
    remaining: list[list[Case]] = []
    for kind in sorted(strata):
        shuffler.shuffle(strata[kind])
        is_held = hold_out([len(group) for group in strata[kind]], test_share)
        test += [case for group, held in zip(strata[kind], is_held, strict=True) if held for case in group]
        others = [group for group, held in zip(strata[kind], is_held, strict=True) if not held]
        remaining += sorted(others, key=len, reverse=True)
    if remaining and len(remaining) < folds:
        raise DatalistError(
            f"{root}: {len(remaining)} cases or patients are left for {folds} folds; ask for fewer folds or a smaller "
            "test share, or hold all out with --test_share 1."
        )
    return {"training": with_balanced_folds(remaining, folds), "test": test}


def with_balanced_folds(groups: Sequence[Sequence[Case]], folds: int) -> list[Case]:
    """Return the cases of groups with a ``"fold"``, see :func:`balance_folds`."""
    assigned = balance_folds(map(len, groups), folds)
    return [{**case, "fold": fold} for group, fold in zip(groups, assigned, strict=True) for case in group]


def split_by_sizes(cases: Sequence[Case], sizes: Sequence[int], seed: int) -> dict[str, list[Case]]:
    """Split cases, sorted by the names of their images, into training, validation and test by a seeded shuffle.

    Where the number of cases is not the sum of the sizes, the parts keep their shares, which is logged.

    Args:
        cases: cases with ``"image"``.
        sizes: number of cases for training, validation and test.
        seed: seed of the shuffle.

    Raises:
        DatalistError: when there are too few cases for one in each part.
    """
    order = sorted(cases, key=lambda case: Path(case["image"]).name)
    random.Random(seed).shuffle(order)
    total = sum(sizes)
    validation, test = (round(len(order) * size / total) for size in sizes[1:])
    if min(validation, test, len(order) - validation - test) < 1:
        raise DatalistError(f"{len(order)} images are too few for shares of {', '.join(map(str, sizes))}.")
    if len(order) != total:
        logger.warning("there are %d images, not %d; the parts of the split keep their shares", len(order), total)
    return {
        "validation": order[:validation],
        "test": order[validation : validation + test],
        "training": order[validation + test :],
    }


def _by_stratum(units: Iterable[Any], stratum: Callable[[Any], str]) -> dict[str, list[Any]]:
    strata: dict[str, list[Any]] = {}
    for unit in units:
        strata.setdefault(stratum(unit), []).append(unit)
    return strata
