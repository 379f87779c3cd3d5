"""A table of the results in a folder, with a row a picture and structure, that grows as pictures are done."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bundle.utils.atomic_write import atomic_write

COLUMNS = (
    "case",
    "structure",
    "input",
    "width",
    "height",
    "area_px",
    "area_percent",
    "box_x",
    "box_y",
    "box_width",
    "box_height",
    "regions",
    "perimeter_px",
    "border_irregularity",
    "mean_probability",
)


class ImageTable:
    """A CSV file that is up to date after every picture.

    Rows of pictures that an earlier run left in the same folder stay, until the picture is done again. A file of other
    columns is replaced.

    Args:
        path: file to write; its folder is made when missing.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._rows: dict[str, list[dict[str, str]]] | None = None

    def put(self, case: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write the rows of a case; each has :data:`COLUMNS` but ``"case"``, which may be missing or None."""
        known = self._read() if self._rows is None else self._rows
        self._rows = known
        again = case in known
        known[case] = [{name: _text(row.get(name)) for name in COLUMNS} | {"case": case} for row in rows]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if again or not self.path.is_file():
            with atomic_write(self.path) as file:
                self._write(file, [row for stored in known.values() for row in stored], header=True)
        else:
            self._write(self.path, known[case], header=False)

    def _read(self) -> dict[str, list[dict[str, str]]]:
        if not self.path.is_file():
            return {}
        with open(self.path, newline="", encoding="utf-8") as stream:
            reader = csv.DictReader(stream)
            rows = list(reader)
        if tuple(reader.fieldnames or ()) != COLUMNS:
            self.path.unlink()
            return {}
        known: dict[str, list[dict[str, str]]] = {}
        for row in rows:
            known.setdefault(row["case"], []).append(row)
        return known

    def _write(self, file: Path, rows: Sequence[Mapping[str, str]], *, header: bool) -> None:
        with open(file, "w" if header else "a", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, COLUMNS)
            if header:
                writer.writeheader()
            writer.writerows(rows)


def _text(value: Any) -> str:
    if value is None or value != value:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
