"""Numbers and names of the intervertebral discs.

The number of a disc is that of the vertebra below it, C1 being 1, T1 8, L1 20 and S1 25: the convention of the Spinal
Cord Toolbox for point labels. Number 1 is the top of C1, not a disc. Segmentations of TotalSpineSeg number discs
differently. A spine with four lumbar vertebrae is numbered from the head, and its lumbosacral disc is 25. The discs
next to a thirteenth thoracic or a sixth lumbar vertebra have the numbers of :data:`VARIANT_NAMES` in this bundle.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Literal, get_args

from bundle.utils.check_choice import check_choice

FIRST_LEVEL, LAST_LEVEL = 1, 25
"""Smallest and largest number."""

_VERTEBRAE = [f"C{i}" for i in range(1, 8)] + [f"T{i}" for i in range(1, 13)] + [f"L{i}" for i in range(1, 6)] + ["S1"]

LEVEL_NAMES: dict[int, str] = {1: "C1-top"} | {
    number: f"{above}-{below}" for number, (above, below) in enumerate(pairwise(_VERTEBRAE), start=2)
}
"""Name by number: 1 ``"C1-top"``, 2 ``"C1-C2"``, ... 25 ``"L5-S1"``."""

VARIANT_NAMES: dict[int, str] = {195: "T12-T13", 205: "T13-L1", 245: "L5-L6", 255: "L6-S1"}
"""Name by number of the discs next to T13 and L6, in files of this bundle."""

_ORDER = {195: 19.5, 205: 20.0, 245: 24.5, 255: 25.0}
"""Where these discs are among the others: that above L1 is the 20th, and that above S1 the 25th."""

_NAMES = LEVEL_NAMES | VARIANT_NAMES

OTHER_LANDMARKS: dict[int, str] = {49: "pontomedullary groove", 50: "pontomedullary junction", 60: "conus medullaris"}
"""Values of the same label maps that are not discs."""

TOTALSPINESEG: dict[int, int] = (
    {number: number + 60 for number in range(3, 8)}
    | {number: number + 63 for number in range(8, 20)}
    | {number: number + 71 for number in range(20, 25)}
    | {25: 100}
)
"""TotalSpineSeg's value by number: 63 C2-C3 to 67 C6-C7, 71 to 82 T11-T12, 91 to 95 L4-L5, 100 L5-S."""

VERSE: dict[int, int] = {number: number + 99 for number in range(2, 26)}
"""Value of VerSe and SPINEPS by number: 100 more than the vertebra above, 102 C2-C3 to 124 L5-S1."""

Numbering = Literal["sct", "totalspineseg", "verse", "sct_template"]
"""Numberings of label maps: of the Spinal Cord Toolbox (3 is C2-C3), of TotalSpineSeg (63), of VerSe and SPINEPS (102),
or of the Spinal Cord Toolbox without the discs that its template PAM50 lacks, L2-L3 to L5-S1."""

NUMBERINGS = get_args(Numbering)

LAST_OF_TEMPLATE = 21
"""The lowest disc in the template PAM50 of the Spinal Cord Toolbox, L1-L2."""

_VALUES: dict[str, dict[int, int]] = {
    "sct": {number: number for number in LEVEL_NAMES} | {205: 20, 255: 25},
    "totalspineseg": TOTALSPINESEG,
    "verse": VERSE | {195: 119, 205: 128, 245: 124, 255: 125},
    "sct_template": {number: number for number in LEVEL_NAMES if number <= LAST_OF_TEMPLATE},
}
_NUMBERS_OF = {
    name: {value: number for number, value in sorted(values.items(), reverse=True)} for name, values in _VALUES.items()
}
_VARIANTS_OF_VERSE = {128: {119: 195}, 125: {124: 245}}
"""Values of VerSe that mean others next to a value: 119 is below T12, and 124 below L5, whatever the next vertebra."""

_NUMBERS = {name.upper(): number for number, name in _NAMES.items()} | {"L5-S": 25, "L6-S": 255}
_FROM_TOTALSPINESEG = {value: number for number, value in TOTALSPINESEG.items()}


def level_name(number: int) -> str:
    """Return the name of a disc, such as ``"C2-C3"`` for 3.

    Raises:
        ValueError: when no disc has the number.

    Examples:
        >>> level_name(25)
        'L5-S1'
    """
    if number not in _NAMES:
        raise ValueError(
            f"{number} is not the number of a disc; they range from 1 ({LEVEL_NAMES[1]}) to 25 ({LEVEL_NAMES[25]})."
        )
    return _NAMES[number]


def level_order(number: int) -> float:
    """Return the place of a disc from head to foot, its number for one that is not next to T13 or L6.

    Examples:
        >>> sorted([25, 245, 24, 255], key=level_order)
        [24, 245, 25, 255]
    """
    return _ORDER.get(number, float(number))


def trained_level(number: int) -> int | None:
    """Return the level as which a network learns a disc: the disc above L1 is 20, that above S1 25.

    None for the additional disc, above T13 or L6, which no network knows.

    Examples:
        >>> trained_level(24), trained_level(255), trained_level(245)
        (24, 25, None)
    """
    place = level_order(number)
    return int(place) if place.is_integer() else None


def levels_with(*, thoracic: int = 12, lumbar: int = 5) -> tuple[int, ...]:
    """Return the numbers of the discs of a spine from head to foot.

    Args:
        thoracic: number of thoracic vertebrae, 13 for the discs next to T13.
        lumbar: number of lumbar vertebrae, 6 for the discs next to L6.

    Examples:
        >>> [level_name(number) for number in levels_with(lumbar=6)[-3:]]
        ['L4-L5', 'L5-L6', 'L6-S1']
    """
    numbers: list[int] = []
    for number in LEVEL_NAMES:
        changed = {20: (195, 205)} if thoracic > 12 else {}
        changed |= {25: (245, 255)} if lumbar > 5 else {}
        numbers += changed.get(number, (number,))
    return tuple(numbers)


def check_variants(numbers: Iterable[int]) -> None:
    """Check that discs can be in one spine.

    Raises:
        ValueError: when discs next to T13 or L6 are together with the disc between their neighbors.
    """
    found = set(numbers)
    for number, others in ((20, {195, 205}), (25, {245, 255})):
        both = found & {number, *others}
        if number in both and len(both) > 1:
            raise ValueError(f"{' and '.join(level_name(value) for value in sorted(both))} are not in one spine")


def level_number(name: str) -> int:
    """Return the number of a disc by its name, in whatever case, with ``-`` or ``/``.

    Raises:
        ValueError: when no disc has the name.

    Examples:
        >>> level_number("l5/s1")
        25
    """
    number = _NUMBERS.get(name.strip().upper().replace("/", "-"))
    if number is None:
        raise ValueError(f"{name!r} is not the name of a disc; write it like 'C2-C3' or 'L5/S1'.")
    return number


def to_totalspineseg(number: int) -> int:
    """Return TotalSpineSeg's segmentation value of a disc.

    Raises:
        ValueError: when it has none; only C2-C3 to L5-S have one.
    """
    if number not in TOTALSPINESEG:
        raise ValueError(f"TotalSpineSeg has no value for {level_name(number)} ({number}), only for 3 to 25.")
    return TOTALSPINESEG[number]


def from_totalspineseg(value: int) -> int:
    """Return the number of a disc by TotalSpineSeg's segmentation value.

    Raises:
        ValueError: when the value is not that of a disc.
    """
    if value not in _FROM_TOTALSPINESEG:
        raise ValueError(f"{value} is not a disc in TotalSpineSeg's numbering: 63-67, 71-82, 91-95 and 100 are.")
    return _FROM_TOTALSPINESEG[value]


def check_numbering(numbering: str) -> None:
    """Check the name of a numbering.

    Raises:
        ValueError: when it is unknown.
    """
    check_choice("numbering", numbering, NUMBERINGS)


def disc_number(value: int, numbering: Numbering = "sct") -> int | None:
    """Return the number of the disc that has a value in a label map; None for a value that is not a disc."""
    check_numbering(numbering)
    return _NUMBERS_OF[numbering].get(value)


def disc_numbers(values: Iterable[int], numbering: Numbering = "sct") -> dict[int, int | None]:
    """Return the numbers of the discs that have the values of one label map, None for those that are not discs.

    In VerSe, the disc below L5 has the same value whether L6 or S1 follows; that below L6 shows which one it is.

    Examples:
        >>> disc_numbers([124], "verse"), disc_numbers([124, 125], "verse")
        ({124: 25}, {124: 245, 125: 255})
    """
    numbers = {value: disc_number(value, numbering) for value in values}
    for value, changed in _VARIANTS_OF_VERSE.items() if numbering == "verse" else ():
        if value in numbers:
            numbers |= {other: number for other, number in changed.items() if other in numbers}
    return numbers


def disc_value(number: int, numbering: Numbering = "sct") -> int | None:
    """Return the value of a disc in a label map; None if the numbering has none.

    Examples:
        >>> disc_value(25), disc_value(25, "totalspineseg"), disc_value(25, "sct_template")
        (25, 100, None)
    """
    check_numbering(numbering)
    return _VALUES[numbering].get(number)
