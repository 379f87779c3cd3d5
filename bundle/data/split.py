"""Making of a datalist with a held-out test set and folds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .datalist import load_datalist
from .msd import with_groups
from .volume_lists import deal, read_table, volume_datalist

SECTIONS = ("training", "test")


def make_datalist(
    dataset_dir: str | Path,
    *,
    labels: str | Path | None = None,
    patient: str | None = None,
    test_share: float = 0.2,
    folds: int = 5,
    seed: int = 0,
) -> dict[str, Any]:
    """Split the labelled cases of a folder into a test set and folds, by a seeded shuffle of their sorted names.

    Args:
        dataset_dir: folder with ``dataset.json``, ``imagesTr/labelsTr`` or ``images/labels``.
        labels: table of structures, see :func:`bundle.io.label_tables.read_label_table`; None for the ``labels`` of
            ``dataset.json`` where there are some.
        patient: regular expression whose first group, in the name of an image, is the patient; cases of one are never
            parted. None where every image is of another one.
        test_share: share of the cases that is held out as ``test``, from 0 to 1.
        folds: number of folds that the others are dealt to.
        seed: seed of the shuffle.

    Returns:
        The content of a datalist in MSD form, with paths relative to ``dataset_dir``.

    Raises:
        DatalistError: when the folder or the table cannot be used, or a number is out of range.
    """
    root = Path(dataset_dir)
    lists = load_datalist(root)
    kept = ("image", "label", "group", "complete")
    cases = [{key: case[key] for key in kept if key in case} for case in lists["training"] + lists["test"]]
    dealt = deal(root, with_groups(cases, patient), test_share=test_share, folds=folds, seed=seed)
    if labels is not None:
        return volume_datalist(root, dealt, seed=seed, table=read_table(labels))
    return {**_described(root / "dataset.json"), **volume_datalist(root, dealt, seed=seed)}


def _described(path: Path) -> dict[str, Any]:
    """Return what a ``dataset.json`` tells of its channels and classes."""
    content = json.loads(path.read_text(encoding="utf-8-sig")) if path.is_file() else {}
    return {key: content[key] for key in ("modality", "channel_names", "label_values", "labels") if key in content}


def write_datalist(content: dict[str, Any], path: str | Path) -> None:
    """Write a datalist as JSON, one case a line; the folder is made when missing."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in content.items() if key not in SECTIONS]
    for section in SECTIONS:
        cases = ",\n        ".join(json.dumps(item) for item in content[section])
        lines.append(f'"{section}": [\n        {cases}\n    ]' if cases else f'"{section}": []')
    Path(path).write_text("{\n    " + ",\n    ".join(lines) + "\n}\n", encoding="utf-8")
