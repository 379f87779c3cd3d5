"""Tables of the values of every structure in label maps, and reading of them from files."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from keyslice_runtime.utils.errors import BundleError
from keyslice_runtime.utils.label_names import BACKGROUND, IGNORE, IGNORED

OTHERS = "others"
"""In the place of the values of the background: all that belong to no structure."""

HIGHEST = 65535
"""The highest value that a table may name."""

LabelValues = Mapping[str, Sequence[int | str] | str]
"""Values, or ranges such as ``"100-207"``, by the name of the structure."""


class LabelTableError(BundleError):
    """A table of structures that cannot be used; the message says what to do."""


def expand(table: LabelValues) -> dict[str, list[int]]:
    """Return the single values of every structure, in the order of the table, without background and ignored voxels.

    Args:
        table: values, or ranges such as ``"100-207"``, by the name of the structure. ``"background"`` may have values
            as well, in addition to 0, or ``"others"`` for all that belong to no structure; ``"ignore"`` has those of
            voxels that nobody labeled.

    Raises:
        LabelTableError: when there is no structure, a value is no whole number from 1 to 65535, or two structures share
            one.
    """
    found: dict[str, list[int]] = {}
    owner: dict[int, str] = {}
    for name, values in table.items():
        if name == BACKGROUND and values == OTHERS:
            continue
        found[name] = _values(name, values, least=0 if name == BACKGROUND else 1)
        for value in found[name]:
            if value in owner:
                raise LabelTableError(
                    f"the value {value} belongs to {owner[value]!r} and to {name!r}; take it from one."
                )
            owner[value] = name
    for name in (BACKGROUND, IGNORE):
        found.pop(name, None)
    if not found:
        raise LabelTableError('a table needs at least one structure, {"name": [values]}.')
    return found


def value_map(table: LabelValues, classes: Mapping[str, int] | None = None) -> dict[int, int]:
    """Return the class of every value that a table names, background and ignored voxels among them.

    Args:
        table: as for :func:`expand`.
        classes: class by the name of the structure; None to count them from 1 in the order of the table.

    Raises:
        LabelTableError: as :func:`expand`; when the classes are of other names than the structures.
    """
    structures = expand(table)
    numbers = {name: place for place, name in enumerate(structures, start=1)} if classes is None else dict(classes)
    if set(structures) != {*numbers} - {BACKGROUND, IGNORE}:
        raise LabelTableError(
            f"the table names the structures {', '.join(structures)}, the classes are {', '.join(numbers)}; give "
            "label_values and label_names the same names."
        )
    background = table.get(BACKGROUND, [])
    zeros = [] if background == OTHERS else _values(BACKGROUND, background, least=0)
    ignored = _values(IGNORE, table[IGNORE]) if IGNORE in table else []
    known = {value: numbers[name] for name in structures for value in structures[name]}
    return {0: 0, **dict.fromkeys(zeros, 0), **dict.fromkeys(ignored, IGNORED), **known}


def others_are_background(table: LabelValues) -> bool:
    """Return whether values that a table does not name count as background."""
    return table.get(BACKGROUND) == OTHERS


def read_label_table(path: str | Path) -> dict[str, list[int | str] | str]:
    """Read a table of structures.

    Args:
        path: a JSON file, ``{"structure": [values]}`` or with such a table under ``label_values``; or a file with tabs
            (``.tsv``, as BIDS wants it) or commas, with a column ``index`` (or ``value``) and one ``name``. Rows of the
            same name become one structure; a row with the index 0 is the background.

    Returns:
        The table, in the order of the file.

    Raises:
        LabelTableError: when the file cannot be read or has another form; the message names it.
    """
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8-sig")
        table = _from_json(json.loads(text)) if file.suffix.lower() == ".json" else _from_rows(file, text)
        expand(table)
    except (OSError, ValueError) as error:
        raise LabelTableError(f"{path}: is no table of structures ({error}).") from error
    return table


def class_labels(table: LabelValues) -> dict[str, str]:
    """Return the names of the classes by their values, ``{"0": "background", "1": ...}``, as in a ``dataset.json``."""
    return {"0": BACKGROUND, **{str(place): name for place, name in enumerate(expand(table), start=1)}}


def _values(name: str, values: Any, least: int = 1) -> list[int]:
    if isinstance(values, str) or not isinstance(values, Iterable):
        values = [values]
    found = [number for value in values for number in _numbers(name, value)]
    if (not found and name != BACKGROUND) or any(not least <= number <= HIGHEST for number in found):
        raise LabelTableError(f"{name!r} has the values {values!r}; they must lie from {least} to {HIGHEST}.")
    return found


def _numbers(name: str, value: Any) -> list[int]:
    if isinstance(value, int) and not isinstance(value, bool):
        return [value]
    first, _, last = str(value).partition("-")
    if isinstance(value, str) and first.isdigit() and (not last or last.isdigit()) and not value.endswith("-"):
        return list(range(int(first), int(last or first) + 1))
    raise LabelTableError(f'{name!r} has the value {value!r}; give whole numbers, or ranges such as "100-207".')


def _from_json(content: Any) -> dict[str, Any]:
    table = content.get("label_values", content) if isinstance(content, Mapping) else None
    if not isinstance(table, Mapping):
        raise LabelTableError('it has to be {"structure": [values]}')
    return dict(table)


def _from_rows(file: Path, text: str) -> dict[str, Any]:
    delimiter = "\t" if file.suffix.lower() == ".tsv" else ","
    rows = list(csv.DictReader(text.splitlines(), delimiter=delimiter))
    table: dict[str, Any] = {}
    for row in rows:
        value, name = row.get("index") or row.get("value"), (row.get("name") or "").strip()
        if not name or value is None or not value.strip().isdigit():
            raise LabelTableError(f"a row is {row}; the columns 'index' and 'name' must have a number and a name")
        if int(value) > 0:
            table.setdefault(name, []).append(int(value))
    return table
