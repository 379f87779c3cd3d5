"""Numberings of the vertebrae and discs in masks: Spinal Cord Toolbox, VerSe, TotalSpineSeg and SPIDER.

Values become the numbers of :mod:`bundle.tasks.spine.discs.levels`: C1 is 1, T1 8, L1 20, S1 25, and a disc has the
number of the vertebra below it. With T13, T13 is 195 and L1 205; with L6, L6 is 245 and S1 255.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch

from bundle.io.input_checks import LabelValuesError
from bundle.io.label_classes import NO_FRACTIONS
from bundle.io.label_rounding import describe_values
from bundle.utils.check_choice import check_choice

from .discs.levels import LEVEL_NAMES, TOTALSPINESEG, VERSE

logger = logging.getLogger(__name__)

MaskNumbering = Literal["sct", "verse", "totalspineseg", "spider"]
"""Numberings of masks: of the Spinal Cord Toolbox and this bundle, of VerSe and SPINEPS, TotalSpineSeg, or SPIDER."""

MASK_NUMBERINGS = get_args(MaskNumbering)

MaskKind = Literal["vertebrae", "discs"]
"""The structures of a mask that are used."""


L6_OF_TOTALSPINESEG = 46
"""TotalSpineSeg numbers this vertebra, but not the discs next to it."""


class _Numbering(NamedTuple):
    """Numbers by value, values of other structures, and names of the vertebrae that have no number.

    Where a mask has a value of ``variants``, of T13 or L6 or the disc below it, some of its values have other numbers,
    those of vertebrae and of discs.
    """

    vertebrae: Mapping[int, int]
    discs: Mapping[int, int]
    others: Collection[int] = ()
    unnumbered: Mapping[int, str] = {}
    variants: Mapping[int, tuple[Mapping[int, int], Mapping[int, int]]] = {}

    def numbers(self, kind: MaskKind, found: Collection[int]) -> Mapping[int, int]:
        is_disc = kind == "discs"
        numbers = dict(self.discs if is_disc else self.vertebrae)
        for value, changed in self.variants.items():
            if value in found:
                numbers |= changed[is_disc]
        return numbers

    def values(self) -> set[int]:
        return {*self.vertebrae, *self.discs, *self.others, *self.unnumbered, *self.variants}


_OWN = {number: number for number in LEVEL_NAMES}

_L6_OF_VERSE = {25: 245, 26: 255}, {124: 245, 125: 255}
_T13_OF_VERSE = {28: 195, 20: 205}, {119: 195, 128: 205}

_TABLES: dict[str, _Numbering] = {
    "sct": _Numbering(_OWN, _OWN),
    "verse": _Numbering(
        vertebrae={**{number: number for number in range(1, 25)}, 26: 25},
        discs={value: number for number, value in VERSE.items() if number > 2},
        others=(27, *range(201, 229)),  # coccyx, end plates of SPINEPS
        variants={25: _L6_OF_VERSE, 125: _L6_OF_VERSE, 28: _T13_OF_VERSE, 128: _T13_OF_VERSE},
    ),
    "totalspineseg": _Numbering(
        vertebrae={
            **{number + 10: number for number in range(1, 8)},
            **{number + 13: number for number in range(8, 20)},
            **{number + 21: number for number in range(20, 25)},
            50: 25,
        },
        discs={value: number for number, value in TOTALSPINESEG.items()},
        others=(1, 2),  # cord, canal
        unnumbered={47: "L7"},
        variants={46: ({46: 245, 50: 255}, {})},
    ),
    "spider": _Numbering(
        vertebrae={value: 25 - value for value in range(1, 25)},  # from L5 upward
        discs={value: 226 - value for value in range(201, 224)},  # from L5-S1 upward
        others=(100, *range(101, 126)),  # canal, vertebrae that are partly in view
        unnumbered={25: "a vertebra 25 above the sacrum"},
    ),
}


def renumber_mask(
    file: str | Path, mask: np.ndarray, numbering: MaskNumbering = "sct", *, kind: MaskKind = "vertebrae"
) -> np.ndarray:
    """Return a mask with the numbers of this bundle; values of structures that are not of the kind are skipped.

    Args:
        file: where the mask comes from.
        mask: values in the numbering of the file, of any type.
        numbering: one of :data:`MASK_NUMBERINGS`.
        kind: ``"vertebrae"``, or ``"discs"``.

    Returns:
        uint8 array.

    Raises:
        LabelValuesError: when the mask holds fractions, values that the numbering does not know, a vertebra that has
            no number, or whose discs have none, or nothing of the kind.
        ValueError: when the numbering or the kind is unknown.

    Examples:
        >>> renumber_mask("msk.nii.gz", np.array([0, 24, 26, 27]), "verse").tolist()
        [0, 24, 25, 0]
        >>> renumber_mask("msk.mha", np.array([0, 1, 100, 201, 202]), "spider", kind="discs").tolist()
        [0, 0, 0, 25, 24]
    """
    check_choice("numbering", numbering, MASK_NUMBERINGS)
    check_choice("kind", kind, get_args(MaskKind))
    table = _TABLES[numbering]
    found, places = np.unique(mask, return_inverse=True)
    _check_values(file, found[found != 0], numbering, kind)
    numbers = table.numbers(kind, found.tolist())
    skipped = [f"{value:g}" for value in found if value != 0 and value not in numbers]
    if skipped:
        logger.info("%s: skipped the values of other structures than %s: %s.", file, kind, ", ".join(skipped))
    renumbered = np.array([numbers.get(int(value), 0) for value in found], dtype=np.uint8)
    return renumbered[places].reshape(np.shape(mask))


def _check_values(file: str | Path, found: np.ndarray, numbering: MaskNumbering, kind: MaskKind) -> None:
    table = _TABLES[numbering]
    shown, has_fractions = describe_values(torch.as_tensor(found.astype(np.float64)))
    if has_fractions:
        raise LabelValuesError(file, f"holds the values {shown}, and fractions are no labels", NO_FRACTIONS)
    unknown = sorted(set(found.tolist()) - table.values())
    if unknown:
        shown, _ = describe_values(torch.tensor(unknown, dtype=torch.float64))
        problem = f"holds the values {shown}, which are no {kind} in the numbering {numbering}"
        raise LabelValuesError(file, problem, _remedy(found, numbering))
    unnumbered = [f"{name} ({value})" for value, name in table.unnumbered.items() if value in found]
    if numbering == "totalspineseg" and kind == "discs" and L6_OF_TOTALSPINESEG in found:
        unnumbered.append(f"L6 ({L6_OF_TOTALSPINESEG})")
    if unnumbered:
        raise LabelValuesError(
            file,
            f"holds {', '.join(unnumbered)}, for which there is no number among C1 to S1, nor for the discs next to it",
            "leave the exam out, or write the points of its other discs as a JSON or CSV file",
        )
    if not set(found.tolist()) & set(table.numbers(kind, found.tolist())):
        problem = f"holds the values {shown}, but no {kind} in the numbering {numbering}" if len(found) else "is empty"
        raise LabelValuesError(file, problem, _remedy(found, numbering))


def _remedy(found: np.ndarray, numbering: MaskNumbering) -> str:
    """Return what to do about a mask that does not fit its numbering."""
    others = {name: table for name, table in _TABLES.items() if name != numbering and len(found)}
    fitting = [name for name, table in others.items() if set(found.tolist()) <= table.values()]
    if fitting:
        return f"if it has the numbers of {' or '.join(fitting)}, pass --numbering {fitting[0]}"
    return f"correct the mask, or pass its --numbering: {', '.join(MASK_NUMBERINGS)}"
