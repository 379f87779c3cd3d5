"""Tables of an experiment as Markdown and CSV, and what both reports hold."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bundle.utils.write_json import write_json


def write_report(
    folder: Path, name: str, *, content: Mapping[str, Any], page: str, rows: Sequence[Mapping[str, Any]]
) -> None:
    """Write ``<name>.csv``, ``<name>.json`` and ``<name>.md``.

    Args:
        folder: folder to write to.
        name: name of the files.
        content: content of the JSON file.
        page: content of the Markdown file.
        rows: rows of the CSV file; its columns are their keys.
    """
    columns = list(dict.fromkeys(column for row in rows for column in row))
    with open(folder / f"{name}.csv", "w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns)
        writer.writeheader()
        writer.writerows(rows)
    write_json(folder / f"{name}.json", content)
    (folder / f"{name}.md").write_text(page, encoding="utf-8")


def join_sections(sections: Iterable[str]) -> str:
    """Return a page of all sections that are not empty."""
    return "\n\n".join(section for section in sections if section) + "\n"


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown, nothing where there are no rows.

    Examples:
        >>> print(markdown_table(["fold", "mean"], [["0", "0.91"]]))
        | fold | mean |
        | --- | --- |
        | 0 | 0.91 |
    """
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) if rows else ""


def list_missing(content: Mapping[str, Any]) -> str:
    """Return the list of failed runs and skipped cases, nothing where there are none."""
    lines = [f"- {failure['run']} failed: {failure['error']}" for failure in content["failed"]]
    lines += [f"- a case was skipped: {message}" for message in content["skipped"]]
    return "\n".join(["Missing:", "", *lines]) if lines else ""


def list_versions(versions: Mapping[str, str]) -> str:
    """Return a sentence with the versions that were used."""
    return "Versions: " + ", ".join(f"{name} {version}" for name, version in versions.items()) + "."
