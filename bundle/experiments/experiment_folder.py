"""The folder of an experiment: it holds one plan, and only the same plan resumes in it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bundle.data.datalist_file import write_datalist
from bundle.utils.atomic_write import atomic_write
from bundle.utils.differences import differences
from bundle.utils.write_json import write_json

from .experiment_options import ExperimentError

PLAN = "plan.json"
DATALIST = "datalist.json"
PARTIAL = ".partial_"
MAX_DIFFERENCES = 4
"""Differences that a message lists."""
MAX_LENGTH = 80
"""Characters of a value in a message."""


def open_output(
    content: Mapping[str, Any], output: Path, kind: str, *, datalist: Mapping[str, Any] | None = None
) -> None:
    """Make the folder of an experiment, or accept that of the same plan, to resume it.

    Args:
        content: all that decides the result, as JSON has it.
        output: the folder.
        kind: what the experiment is called in messages.
        datalist: content of ``datalist.json``, which is written to the folder where it is missing; None for none.

    Raises:
        ExperimentError: when the folder holds anything else; the message names the ids that differ.
    """
    path = output / PLAN
    if path.is_file():
        _compare(content, path, kind)
    elif output.exists() and (not output.is_dir() or _has_files(output)):
        raise ExperimentError(f"output_dir {output} is not empty and is not a {kind}; pass another --output_dir.")
    else:
        output.mkdir(parents=True, exist_ok=True)
        write_json(path, content)
    if datalist is not None and not (output / DATALIST).is_file():
        with atomic_write(output / DATALIST) as file:
            write_datalist(datalist, file)


def _compare(content: Mapping[str, Any], path: Path, kind: str) -> None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ExperimentError(f"{path}: is damaged ({error}); pass another --output_dir.") from error
    messages = [_describe(*difference) for difference in differences(found, json.loads(json.dumps(content)))]
    if messages:
        more = [f"and {len(messages) - MAX_DIFFERENCES} more"] if len(messages) > MAX_DIFFERENCES else []
        listed = "; ".join([*messages[:MAX_DIFFERENCES], *more])
        raise ExperimentError(
            f"output_dir {path.parent} holds another {kind}: {listed}. Pass another --output_dir, or the options that "
            "it was started with."
        )


def _describe(name: str, found: Any, wanted: Any) -> str:
    texts = [json.dumps(value) for value in (found, wanted)]
    if max(len(text) for text in texts) > MAX_LENGTH:
        return f"{name} differs"
    return f"{name} is {texts[0]} there and {texts[1]} here"


def _has_files(folder: Path) -> bool:
    return any(not file.name.startswith(PARTIAL) for file in folder.iterdir())
