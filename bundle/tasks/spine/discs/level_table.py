"""Tables of the levels in a label map of discs, in the form of BIDS."""

from __future__ import annotations

from pathlib import Path

from bundle.utils.atomic_write import atomic_write
from bundle.visualize.colors import COLORS

from .levels import LEVEL_NAMES, VARIANT_NAMES, Numbering, disc_value, level_name

COLUMNS = ("index", "name", "abbreviation", "color")


def level_color(number: int) -> str:
    """Return the color of a disc in figures and tables, such as ``"#e69f00"``; neighbors have different ones."""
    return COLORS[number % len(COLORS)]


def write_level_table(path: str | Path, *, numbering: Numbering = "sct") -> None:
    """Write value, name, abbreviation and color of every disc of a numbering, tab-separated, as BIDS has them.

    Args:
        path: file to write; one with this content is left as it is.
        numbering: numbering of the label map.
    """
    numbers: dict[int, list[int]] = {}
    for number in (*LEVEL_NAMES, *VARIANT_NAMES):
        value = disc_value(number, numbering)
        if value is not None and number > 1:
            numbers.setdefault(value, []).append(number)
    rows = [
        (str(value), "disc " + " or ".join(map(level_name, same)), level_name(same[0]), level_color(same[0]))
        for value, same in sorted(numbers.items())
    ]
    text = "".join("\t".join(row) + "\n" for row in [COLUMNS, *rows])
    file = Path(path)
    if file.is_file() and file.read_text(encoding="utf-8") == text:
        return
    with atomic_write(file) as temporary:
        temporary.write_text(text, encoding="utf-8")
