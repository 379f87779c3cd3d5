"""A datalist with a held-out test set and folds, from a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .datalist import load_datalist
from .datalist_file import DESCRIPTION, datalist_content, read_json
from .fold_assignment import split_cases
from .layouts import read_content
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

    The labeled test cases of a dataset that has some are its test set, unless an earlier call drew them.

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
    path, content = read_content(root)
    kept = ("image", "label", "patient", "group", "subset", "complete")
    training, test = (
        find_patients([{key: case[key] for key in kept if key in case} for case in lists[part]], patient)
        for part in ("training", "test")
    )
    if path.is_file() and "seed" in read_json(path):  # an earlier split, which is made anew
        training, test = training + test, []
    split = split_cases(root, training, test_share=0.0 if test else test_share, folds=folds, seed=seed)
    split["test"] += test
    if labels is not None:
        return datalist_content(root, split, seed=seed, table=read_table(labels))
    described = {key: content[key] for key in DESCRIPTION if key in content}
    return {**described, **datalist_content(root, split, seed=seed)}
