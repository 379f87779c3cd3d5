"""Folds of an experiment: those that a datalist names, or new ones."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bundle.data.datalist import load_datalist

from .experiment_options import ExperimentError

DESCRIPTION = ("modality", "channel_names", "label_values", "labels")
KEPT = ("group", "complete")
"""What an item tells of its case beside its files and fold."""


def deal_folds(
    dataset_dir: str | Path, datalist: str | Path | None, folds: int, split_seed: int | None, *, test: bool = False
) -> dict[str, Any]:
    """Return a datalist whose training cases, relative to ``dataset_dir``, all have a fold.

    Args:
        dataset_dir: folder of the dataset, see :func:`bundle.data.load_datalist`.
        datalist: JSON file in MSD form.
        folds: number of folds that are dealt where the datalist names none, or by ``split_seed``; where it names some,
            it must not be larger than their number.
        split_seed: deal new folds by this seed, whatever the datalist says; cases of one ``group`` stay together.
        test: keep the labelled test cases.

    Raises:
        ExperimentError: when there are fewer than two folds, or fewer than asked for.
        DatalistError: when the dataset cannot be used.
    """
    lists = load_datalist(dataset_dir, datalist, folds)
    cases = sorted(lists["training"], key=lambda case: str(case["image"]))
    dealt = [case["fold"] for case in cases] if split_seed is None else _deal(cases, folds, split_seed)
    count = len(set(dealt))
    if count < 2 or folds > count:
        raise ExperimentError(
            f"folds must lie between 1 and the {count} folds that {datalist or dataset_dir} has, and two are needed to "
            f"hold one out, got {folds}; pass --split_seed 0 to deal the {len(cases)} cases to new folds."
        )
    training = [{**_item(case, dataset_dir), "fold": fold} for case, fold in zip(cases, dealt, strict=True)]
    held_out = [_item(case, dataset_dir) for case in lists["test"]] if test else []
    return {"seed": split_seed, **_description(datalist), "training": training, "test": held_out}


def _description(datalist: str | Path | None) -> dict[str, Any]:
    """Return what a datalist tells of the dataset beside its cases."""
    content = json.loads(Path(datalist).read_text(encoding="utf-8-sig")) if datalist else {}
    return {key: content[key] for key in DESCRIPTION if key in content}


def _deal(cases: Sequence[dict[str, Any]], folds: int, seed: int) -> list[int]:
    """Return a fold for every case; whole groups are dealt in turn, in a seeded order."""
    names = [case.get("group") or number for number, case in enumerate(cases)]
    groups = list(dict.fromkeys(names))
    order = list(range(len(groups)))
    random.Random(seed).shuffle(order)
    fold_of = {groups[index]: place % folds for place, index in enumerate(order)}
    return [fold_of[name] for name in names]


def _item(case: dict[str, Any], root: str | Path) -> dict[str, Any]:
    files = {key: relative_files(case[key], root) for key in ("image", "label")}
    return {**files, **{key: case[key] for key in KEPT if key in case}}


def relative_files(value: str | Sequence[str], root: str | Path) -> str | list[str]:
    """Return a path, or the list of paths of a case of several files, relative to a folder."""
    if isinstance(value, str | Path):
        return Path(os.path.relpath(value, root)).as_posix()
    return [Path(os.path.relpath(path, root)).as_posix() for path in value]
