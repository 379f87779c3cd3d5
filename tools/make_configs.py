"""The workflows and the overlays of datasets in ``configs/``, from sources for what they share and what differs.

``python tools/make_configs.py`` (``make configs``) writes them from ``tools/config_sources/``; with ``--check`` it
writes nothing, names the files that differ and exits with status 1. A source is a JSON file:

- ``extends`` names the source that it changes. ``base.json`` holds what all tasks share.
- ``writes`` names the file of each workflow or overlay. A source without it is there to be extended.
- Every other key names the workflows, or ``all``, that its value changes: dictionaries are merged, everything else is
  replaced, and ``"&remove"`` removes a key.
- ``pieces`` of a workflow are parts that its lists and dictionaries name: ``"&load"`` stands for the piece ``load``.
- ``{task}`` in a string stands for the folder of the task with a slash, ``{name}`` for its name, and ``{workflow}`` for
  the name of the file.

The ids of a file are in the order of ``order.json``, and ``_target_`` is the first key of a component.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "tools" / "config_sources"
REMOVE = "&remove"
WIDTH = 120
MAIN = "volumes"
"""Name of the task whose files are in ``configs/`` itself."""

Config = dict[str, Any]

logger = logging.getLogger(__name__)


def configs() -> dict[str, str]:
    """Return the text of every file that is written, by its path below ``configs/``."""
    order = _read("order")
    files = {}
    for source in sorted(SOURCES.glob("*.json")):
        content = json.loads(source.read_text(encoding="utf-8"))
        for workflow, name in content["writes"].items() if "writes" in content else ():
            files[name] = dump(build(source.stem, workflow, name, order)) + "\n"
            if workflow == "inference":
                logging_conf = (SOURCES / "logging.conf").read_text(encoding="utf-8")
                files[str(Path(name).with_name("logging.conf"))] = logging_conf
    return files


def build(source: str, workflow: str, name: str, order: list[str]) -> Config:
    """Return the config of a workflow.

    Args:
        source: name of the source of the task.
        workflow: name of the workflow in the source.
        name: path of the file below ``configs/``.
        order: all ids in the order in which they stand in a file.

    Raises:
        ValueError: when an id is not in ``order``, or there is no piece of a name.
    """
    config: Config = {}
    for changes in _changes(source, workflow):
        config = merge(config, changes)
    task = Path(name).parent.name
    words = {"{task}": f"{task}/" if task else "", "{name}": task or MAIN, "{workflow}": Path(name).stem}
    pieces = config.pop("pieces", {})
    filled = {key: _fill(value, pieces, words) for key, value in config.items()}
    unknown = [key for key in filled if key not in order]
    if unknown:
        raise ValueError(f"{name}: {', '.join(unknown)} must have a place in {SOURCES / 'order.json'}.")
    return dict(sorted(filled.items(), key=lambda item: order.index(item[0])))


def merge(base: Any, changes: Any) -> Any:
    """Return ``base`` with ``changes``: dictionaries are merged, everything else is replaced."""
    if not isinstance(base, dict) or not isinstance(changes, dict):
        return changes
    merged = {key: merge(value, changes[key]) if key in changes else value for key, value in base.items()}
    merged |= {key: value for key, value in changes.items() if key not in base}
    return {key: value for key, value in merged.items() if value != REMOVE}


def dump(value: Any, indent: int = 0, used: int = 0) -> str:
    """Return JSON with what fits into a line on one line.

    Args:
        value: plain values.
        indent: of the line that the text begins in.
        used: characters before and after the text in its first line, the indent left out.
    """
    line = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, dict | list) or not value or (indent and indent + used + len(line) <= WIDTH):
        return line
    inner = indent + 4
    if isinstance(value, dict):
        keys = [f"{json.dumps(key, ensure_ascii=False)}: " for key in value]
        items = [f"{key}{dump(item, inner, len(key) + 1)}" for key, item in zip(keys, value.values(), strict=True)]
    else:
        items = [dump(item, inner, 1) for item in value]
    start, end = "{}" if isinstance(value, dict) else "[]"
    return f"{start}\n{' ' * inner}" + f",\n{' ' * inner}".join(items) + f"\n{' ' * indent}{end}"


def _changes(source: str, workflow: str) -> Iterator[Config]:
    """Yield what the sources say about a workflow, the one that all others extend first."""
    content = _read(source)
    if "extends" in content:
        yield from _changes(content["extends"], workflow)
    for workflows, changes in content.items():
        if workflows == "all" or workflow in workflows.split():
            yield changes


def _fill(value: Any, pieces: Config, words: dict[str, str]) -> Any:
    """Return a value with the pieces and words that its strings name."""
    if isinstance(value, dict):
        target_first = sorted(value, key=lambda key: key != "_target_")
        return {key: _fill(value[key], pieces, words) for key in target_first}
    if isinstance(value, list):
        return [_fill(item, pieces, words) for item in value]
    if not isinstance(value, str):
        return value
    if value.startswith("&"):
        if value[1:] not in pieces:
            raise ValueError(f"there is no piece {value!r}; the pieces are {', '.join(pieces)}.")
        return _fill(pieces[value[1:]], pieces, words)
    for word, text in words.items():
        value = value.replace(word, text)
    return value


def _read(name: str) -> Any:
    return json.loads((SOURCES / f"{name}.json").read_text(encoding="utf-8"))


def main(arguments: list[str] | None = None) -> int:
    """Write the configs, or compare them with ``--check``; return the exit status."""
    parser = argparse.ArgumentParser(description="Write the workflows in configs/ from tools/config_sources/.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with status 1 if a file differs")
    check = parser.parse_args(arguments).check
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    changed = 0
    for name, text in configs().items():
        path = ROOT / "configs" / name
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        changed += 1
        if check:
            logger.info("%s differs from its source: run make configs", path)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            logger.info("%s written", path)
    return int(check and changed > 0)


if __name__ == "__main__":
    sys.exit(main())
