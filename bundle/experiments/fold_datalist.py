"""The datalist of an experiment, with the folds that a dataset names or new ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bundle.data.datalist import load_datalist
from bundle.data.datalist_file import Case, read_description, relative_case
from bundle.data.fold_assignment import assign_folds

from .experiment_options import ExperimentError


def datalist_with_folds(
    dataset_dir: str | Path, datalist: str | Path | None, folds: int, split_seed: int | None, *, test: bool = False
) -> dict[str, Any]:
    """Return a datalist whose training cases, relative to ``dataset_dir``, all have a fold.

    Args:
        dataset_dir: folder of the dataset, see :func:`bundle.data.load_datalist`.
        datalist: JSON file in MSD form.
        folds: number of folds that cases are assigned to where the datalist names none, or by ``split_seed``; where it
            names some, it must not be larger than their number.
        split_seed: assign cases to new folds by this seed, whatever the datalist states; cases of one patient stay
            together.
        test: keep the labeled test cases.

    Raises:
        ExperimentError: when there are fewer than two folds, or fewer than requested.
        DatalistError: when the dataset cannot be used.
    """
    lists = load_datalist(dataset_dir, datalist, folds)
    training = sorted(lists["training"], key=lambda case: str(case["image"]))
    if split_seed is not None:
        training = assign_folds(training, folds, seed=split_seed, root=dataset_dir)
    count = len({case["fold"] for case in training})
    if count < 2:
        raise ExperimentError(
            f"two folds are needed to hold one out, but with --folds {folds} the {len(training)} training cases of "
            f"{datalist or dataset_dir} are in {count}; pass --split_seed 0 and 2 folds or more to assign new ones."
        )
    if folds > count:
        raise ExperimentError(
            f"folds must lie between 1 and the {count} folds that {datalist or dataset_dir} has, got {folds}; pass "
            f"--split_seed 0 to assign the {len(training)} cases to new folds."
        )
    description = read_description(Path(datalist)) if datalist else {}
    sections = {
        "training": [relative_case(case, dataset_dir) for case in training],
        "test": [relative_case(_without_fold(case), dataset_dir) for case in lists["test"] if test],
    }
    return {"seed": split_seed, **description, **sections}


def _without_fold(case: Case) -> Case:
    return {key: value for key, value in case.items() if key != "fold"}
