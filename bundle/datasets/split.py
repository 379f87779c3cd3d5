"""Making of a datalist with a held-out test set and folds."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from .datalist import DatalistError, load_datalist


def make_datalist(dataset_dir: str | Path, *, test_share: float = 0.2, folds: int = 5, seed: int = 0) -> dict[str, Any]:
    """Split the labelled cases of a folder into a test set and folds, by a seeded shuffle of their sorted names.

    Args:
        dataset_dir: folder with ``dataset.json``, ``imagesTr/labelsTr`` or ``images/labels``.
        test_share: share of the cases that is held out as ``test``, in [0, 1).
        folds: number of folds that the others are dealt to.
        seed: seed of the shuffle.

    Returns:
        The content of a datalist in MSD form, with paths relative to ``dataset_dir``.

    Raises:
        DatalistError: when the folder cannot be used or a number is out of range.
    """
    if not 0 <= test_share < 1 or folds < 2:
        raise DatalistError(f"test_share must lie in [0, 1) and folds be 2 or more, got {test_share} and {folds}.")
    root = Path(dataset_dir)
    lists = load_datalist(root)
    cases = sorted(lists["training"] + lists["test"], key=lambda case: str(case["image"]))
    random.Random(seed).shuffle(cases)
    held_out = round(len(cases) * test_share)
    if len(cases) - held_out < folds:
        raise DatalistError(f"{root}: {len(cases) - held_out} cases are left for {folds} folds; ask for fewer of both.")
    items = [{key: Path(case[key]).relative_to(root).as_posix() for key in ("image", "label")} for case in cases]
    test = sorted(items[:held_out], key=lambda item: item["image"])
    training = [{**item, "fold": place % folds} for place, item in enumerate(items[held_out:])]
    return {"seed": seed, "training": sorted(training, key=lambda item: str(item["image"])), "test": test}


def write_datalist(content: dict[str, Any], path: str | Path) -> None:
    """Write a datalist as JSON, one case a line; the folder is made when missing."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    lines = [f'"seed": {json.dumps(content["seed"])}']
    for section in ("training", "test"):
        cases = ",\n        ".join(json.dumps(item) for item in content[section])
        lines.append(f'"{section}": [\n        {cases}\n    ]' if cases else f'"{section}": []')
    Path(path).write_text("{\n    " + ",\n    ".join(lines) + "\n}\n", encoding="utf-8")
