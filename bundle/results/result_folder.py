"""The results in a folder: the JSON of every case is the record; the summary and the tables are derived from them."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from bundle.utils.atomic_write import PARTIAL, atomic_write
from bundle.utils.errors import FileError
from bundle.utils.write_json import finite

from .result_tables import ResultTable, TableWriter

logger = logging.getLogger(__name__)

SUMMARY = "summary.json"
INDENT = 4
"""Spaces before a line of a case in the summary."""

ROUNDS = 3
"""How often a summary is written at most when results come in meanwhile."""


@dataclass(frozen=True)
class Counts:
    """Cases of a folder.

    Attributes:
        completed: completed cases.
        failed: failed cases.
    """

    completed: int
    failed: int


def read_results(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield text and content of the JSON of every case in a folder, sorted by name, completed and failed ones.

    A file that cannot be read, as one that another machine left incomplete when it failed, is logged and skipped.
    """
    for entry in _json_files(folder):
        path = folder / entry
        try:
            text = path.read_text(encoding="utf-8")
            content = json.loads(text)
        except FileNotFoundError:  # its case is being computed again
            continue
        except ValueError as error:
            logger.warning("%s is skipped, it is not JSON (%s); run the workflow again with --resume true", path, error)
            continue
        if isinstance(content, dict) and content.get("case") == path.stem:
            yield text, content


def write_summary(folder: Path, *, tables: Sequence[ResultTable] = (), more: Mapping[str, Any] | None = None) -> Counts:
    """Write ``summary.json``, the completed and the failed cases of a folder, and tables of them.

    The content depends on the JSONs of the cases alone. If one of them changes meanwhile, the files are written again,
    so that of several processes that end together, the last one does not write what the first has read.

    Args:
        folder: folder of the results.
        tables: tables to write.
        more: further entries of the summary.

    Raises:
        FileError: if the folder does not exist.
    """
    if not folder.is_dir():
        raise FileError(folder, "is not a folder", "name the output_dir of an inference")
    for _ in range(ROUNDS):
        state = _state(folder)
        counts = _write(folder, tables, more or {})
        if _state(folder) == state:
            break
    return counts


def _write(folder: Path, tables: Sequence[ResultTable], more: Mapping[str, Any]) -> Counts:
    writers, completed, failures = [TableWriter(table) for table in tables], 0, []
    with atomic_write(folder / SUMMARY) as file, open(file, "w", encoding="utf-8") as stream:
        stream.write('{\n  "cases": [')
        for text, content in read_results(folder):
            for writer in writers:
                writer.add(content)
            if "error" in content:
                failures.append(text)
                continue
            stream.write(_item(text, is_first=not completed))
            completed += 1
        stream.write("\n  ]" if completed else "]")
        stream.write(',\n  "failures": [')
        stream.writelines(_item(text, is_first=not number) for number, text in enumerate(failures))
        stream.write("\n  ]" if failures else "]")
        stream.writelines(f",\n  {json.dumps(name)}: {json.dumps(finite(value))}" for name, value in more.items())
        stream.write("\n}\n")
    for writer in writers:
        writer.write(folder)
    return Counts(completed, len(failures))


def _item(text: str, *, is_first: bool) -> str:
    """Return the text of a case as an item of a list."""
    indented = text.strip().replace("\n", "\n" + " " * INDENT)
    return ("\n" if is_first else ",\n") + " " * INDENT + indented


HIDDEN = (PARTIAL, "._")
"""How the names of files begin that are no results: those that are being written, and what macOS adds."""


def _json_files(folder: Path) -> list[str]:
    names = (name for name in os.listdir(folder) if name.endswith(".json") and not name.startswith(HIDDEN))
    return sorted((name for name in names if name != SUMMARY), key=lambda name: name.removesuffix(".json"))


def _state(folder: Path) -> str:
    """Return a digest of names and times of change of the JSONs."""
    digest = sha256()
    for name in _json_files(folder):
        with suppress(FileNotFoundError):  # its case is being computed again
            digest.update(f"{name} {(folder / name).stat().st_mtime_ns}\n".encode())
    return digest.hexdigest()
