"""Tables of the results of a run: CSV files with rows per case, derived from the JSONs of the cases."""

from __future__ import annotations

import csv
import json
import logging
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bundle.utils.atomic_write import atomic_write

logger = logging.getLogger(__name__)

Row = dict[str, Any]


@dataclass(frozen=True)
class ResultTable:
    """A table that is derived from results.

    Attributes:
        file: name of the file.
        rows: returns the rows of a case from its JSON, that of a failed one too.
        columns: returns the columns from the names in all rows, in the order in which they were met.
        is_wanted: returns whether a case is one of those that the table is for; without one there is no table.
        second: name of the second column, after ``case``, by which a table of an earlier run is known.
    """

    file: str
    rows: Callable[[Mapping[str, Any]], Sequence[Row]]
    columns: Callable[[Sequence[str]], Sequence[str]]
    is_wanted: Callable[[Mapping[str, Any]], bool]
    second: str = "input"


class TableWriter:
    """Write a table whose columns are known after its last row; memory does not grow with the rows.

    Args:
        table: the table.
    """

    def __init__(self, table: ResultTable) -> None:
        self.table = table
        self._names: dict[str, None] = {}
        self._is_wanted = self._has_cases = False
        self._count = 0
        self._rows = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 - closed by write()

    def add(self, case: Mapping[str, Any]) -> None:
        """Add the rows of a case."""
        self._has_cases = True
        self._is_wanted = self._is_wanted or self.table.is_wanted(case)
        for row in self.table.rows(case):
            self._names.update(dict.fromkeys(row))
            self._rows.write(json.dumps(row) + "\n")
            self._count += 1

    def write(self, folder: Path) -> None:
        """Write the file, if a case is one of those that the table is for; else remove that of an earlier run."""
        path = folder / self.table.file
        with self._rows as rows:
            if not self._is_wanted:
                self._remove_earlier(path)
                return
            rows.seek(0)
            with atomic_write(path) as file, open(file, "w", newline="", encoding="utf-8") as stream:
                writer = csv.DictWriter(stream, self.table.columns(list(self._names)))
                writer.writeheader()
                writer.writerows(map(json.loads, rows))
        logger.info("%d rows written to %s", self._count, path)

    def _remove_earlier(self, path: Path) -> None:
        """Remove a table of other cases than those of now; a file of the user that has its name stays."""
        if not self._has_cases or not path.is_file():
            return
        with open(path, encoding="utf-8", errors="replace") as stream:
            begin = stream.readline().strip().split(",")[:2]
        if begin == ["case", self.table.second]:
            path.unlink(missing_ok=True)
            logger.warning("%s: removed; it is of an earlier run, and none of the cases belongs in it now", path)


def write_table(table: ResultTable, folder: Path, cases: Iterable[Mapping[str, Any]]) -> None:
    """Write a table of cases to a folder, which is created if missing."""
    writer = TableWriter(table)
    for case in cases:
        writer.add(case)
    folder.mkdir(parents=True, exist_ok=True)
    writer.write(folder)
