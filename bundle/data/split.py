"""A datalist with a held-out test set and folds, from a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .datalist import load_datalist
from .datalist_file import datalist_content, read_description
from .fold_assignment import split_cases
from .volume_lists import find_patients, read_table


def make_datalist(
    dataset_dir: str | Path,
    *,
    labels: str | Path | None = None,
    patient: str | None = None,
    test_share: float = 0.2,
    folds: int = 5,
    seed: int = 0,
) -> dict[str, Any]:
    """Split the labeled cases of a folder into a test set and folds, by a seeded shuffle of their sorted names.

    Args:
        dataset_dir: folder with ``dataset.json``, ``imagesTr/labelsTr`` or ``images/labels``.
        labels: table of structures, see :func:`bundle.io.label_tables.read_label_table`; None for the ``labels`` of
            ``dataset.json`` where there are some.
        patient: regular expression whose first group, in the name of an image, is the patient; cases of one patient
            stay together. None where every image is of another one.
        test_share: share of the cases that is held out as ``test``, from 0 to 1.
        folds: number of folds that the others are assigned to.
        seed: seed of the shuffle.

    Returns:
        The content of a datalist in MSD form, with paths relative to ``dataset_dir``.

    Raises:
        DatalistError: when the folder or the table cannot be used, or a number is out of range.
    """
    root = Path(dataset_dir)
    lists = load_datalist(root)
    kept = ("image", "label", "patient", "group", "subset", "complete")
    cases = [{key: case[key] for key in kept if key in case} for case in lists["training"] + lists["test"]]
    split = split_cases(root, find_patients(cases, patient), test_share=test_share, folds=folds, seed=seed)
    if labels is not None:
        return datalist_content(root, split, seed=seed, table=read_table(labels))
    return {**read_description(root / "dataset.json"), **datalist_content(root, split, seed=seed)}
