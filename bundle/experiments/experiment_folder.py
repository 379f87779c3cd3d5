"""The folder of an experiment: it holds one plan, and is taken up again by the same plan alone."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bundle.data.datalist_file import write_datalist
from bundle.utils.atomic_write import atomic_write

from .experiment_options import ExperimentError

PLAN = "plan.json"
PARTIAL = ".partial_"
MOST = 4
"""Differences that a message lists."""
LONGEST = 80


def open_output(
    content: Mapping[str, Any], output: Path, kind: str, *, datalists: Mapping[str, dict[str, Any]] | None = None
) -> None:
    """Make the folder of an experiment, or accept that of the same plan, to go on with it.

    Args:
        content: all that decides the result, as JSON has it.
        output: the folder.
        kind: what the experiment is called in messages.
        datalists: contents of datalists by file name, which are written to the folder where they are missing.

    Raises:
        ExperimentError: when the folder holds anything else; the message names the ids that differ.
    """
    path = output / PLAN
    if path.is_file():
        _compare(content, path, kind)
    elif output.exists() and (not output.is_dir() or any(not file.name.startswith(PARTIAL) for file in _list(output))):
        raise ExperimentError(f"output_dir {output} is not empty and holds no {kind}; pass another --output_dir.")
    else:
        output.mkdir(parents=True, exist_ok=True)
        write_json(content, path)
    for name, datalist in (datalists or {}).items():
        if not (output / name).is_file():
            with atomic_write(output / name) as file:
                write_datalist(datalist, file)


def write_json(content: Any, path: Path) -> None:
    """Write JSON in one step; NaN, which JSON has not, becomes null."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as file:
        file.write_text(json.dumps(_without_nan(content), indent=2) + "\n", encoding="utf-8")


def differences(found: Any, wanted: Any, name: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield the id of everything that differs between two contents, and both values; None stands for no value."""
    if isinstance(found, Mapping) and isinstance(wanted, Mapping):
        for key in sorted({*found, *wanted}):
            yield from differences(found.get(key), wanted.get(key), f"{name}#{key}" if name else key)
    elif found != wanted:
        yield name, found, wanted


def _compare(content: Mapping[str, Any], path: Path, kind: str) -> None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ExperimentError(f"{path}: is damaged ({error}); pass another --output_dir.") from error
    told = [_tell(*difference) for difference in differences(found, json.loads(json.dumps(content)))]
    if told:
        more = [f"and {len(told) - MOST} more"] if len(told) > MOST else []
        listed = "; ".join([*told[:MOST], *more])
        raise ExperimentError(
            f"output_dir {path.parent} holds another {kind}: {listed}. Pass another --output_dir, or the options that "
            "it was begun with."
        )


def _tell(name: str, found: Any, wanted: Any) -> str:
    texts = [json.dumps(value) for value in (found, wanted)]
    if max(len(text) for text in texts) > LONGEST:
        return f"{name} differs"
    return f"{name} is {texts[0]} there and {texts[1]} here"


def _list(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def _without_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
