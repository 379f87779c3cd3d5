"""A table of the results in a folder, with rows per image, such as one per structure, updated after every image."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.engines import Workflow

from bundle.inference import RunSummary
from bundle.results.image_rows import COLUMNS, IMAGES, OBJECTS, text_of
from bundle.utils.atomic_write import atomic_write


class ImageTable:
    """A CSV file that is updated after every image.

    Rows of an earlier run in the same folder are kept until their image is processed again. A file with other columns
    is replaced.

    Args:
        path: file to write; its folder is created if missing.
        columns: columns of the table, ``"case"`` first; None for those of structures.
    """

    def __init__(self, path: str | Path, columns: Sequence[str] | None = None) -> None:
        self.path = Path(path)
        self.columns = COLUMNS if columns is None else tuple(columns)
        self._rows: dict[str, list[dict[str, str]]] | None = None

    def put(self, case: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write the rows of a case, with the columns of the table except ``"case"``; missing values are empty."""
        rows_by_case = self._read() if self._rows is None else self._rows
        self._rows = rows_by_case
        is_update = case in rows_by_case
        rows_by_case[case] = [{name: text_of(row.get(name)) for name in self.columns} | {"case": case} for row in rows]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if is_update or not self.path.is_file():
            with atomic_write(self.path) as file:
                self._write(file, [row for each in rows_by_case.values() for row in each], header=True)
        else:
            self._write(self.path, rows_by_case[case], header=False)

    def _read(self) -> dict[str, list[dict[str, str]]]:
        if not self.path.is_file():
            return {}
        with open(self.path, newline="", encoding="utf-8") as stream:
            reader = csv.DictReader(stream)
            rows = list(reader)
        if tuple(reader.fieldnames or ()) != self.columns:
            self.path.unlink()
            return {}
        rows_by_case: dict[str, list[dict[str, str]]] = {}
        for row in rows:
            rows_by_case.setdefault(row["case"], []).append(row)
        return rows_by_case

    def _write(self, file: Path, rows: Sequence[Mapping[str, str]], *, header: bool) -> None:
        with open(file, "w" if header else "a", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, self.columns)
            if header:
                writer.writeheader()
            writer.writerows(rows)


class ImageTables:
    """Write ``images.csv`` and ``objects.csv`` at the end of a run, from all results in the folder.

    While a single process runs, :class:`.SaveMaskd` updates the files after every image.

    Args:
        output_dir: folder of the results.
        summary: summary of the run, attached before this handler.
    """

    def __init__(self, output_dir: str | Path, *, summary: RunSummary) -> None:
        self.output_dir, self.summary = Path(str(output_dir)), summary

    def attach(self, engine: Workflow) -> None:
        """Write the tables at the end of a run of ``engine``."""
        for table in (IMAGES, OBJECTS):
            self.summary.add_table(table, self.output_dir, engine)
