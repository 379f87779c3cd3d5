"""Running of a config in this process, as ``python -m monai.bundle run`` does."""

from __future__ import annotations

import json
import time
from pathlib import Path

from monai.bundle import ConfigParser

HANDLERS = ("train#handlers", "validate#handlers")


def execute(parser: ConfigParser, section: str) -> None:
    """Evaluate the expressions of a section of a config, where it has one."""
    for index in range(len(parser.get(section, []))):
        parser.get_parsed_content(f"{section}#{index}")


def run_training(parser: ConfigParser) -> dict[str, float]:
    """Run ``initialize`` and ``run`` of a train config, and close its handlers.

    Returns:
        The duration of the training: ``seconds``, and ``cpu_seconds`` of this process.
    """
    execute(parser, "initialize")
    handlers = [item for name in HANDLERS if name in parser for item in parser.get_parsed_content(name)]
    started, busy = time.perf_counter(), time.process_time()
    try:
        execute(parser, "run")
    finally:
        for handler in handlers:
            getattr(handler, "close", lambda: None)()
    times = {"seconds": time.perf_counter() - started, "cpu_seconds": time.process_time() - busy}
    return {name: round(value, 3) for name, value in times.items()}


def run_evaluation(parser: ConfigParser) -> None:
    """Run ``initialize`` and ``run`` of an evaluation config."""
    execute(parser, "initialize")
    execute(parser, "run")


def read_failures(folder: Path) -> list[dict[str, str]]:
    """Return the records of the cases that the run of a folder skipped."""
    path = folder / "summary.json"
    return json.loads(path.read_text(encoding="utf-8"))["failures"] if path.is_file() else []
