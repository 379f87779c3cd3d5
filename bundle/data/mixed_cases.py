"""Training on the cases of a dataset together with extra ones, such as phantoms, in fixed shares."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from torch.utils.data import WeightedRandomSampler

from .datalist import load_datalist, select_cases
from .datalist_file import Case, DatalistError

logger = logging.getLogger(__name__)

EXTRA = "extra"
"""Key that marks an extra case."""


def select_mixed_cases(
    dataset_dir: str | Path,
    *,
    datalist: str | Path | None = None,
    fold: int | str | None = 0,
    extra_dir: str | Path | None = None,
) -> list[Case]:
    """Return the training cases of a dataset, followed by all training cases of another one.

    Args:
        dataset_dir: folder of the dataset, see :func:`bundle.data.load_datalist`.
        datalist: JSON file in MSD form.
        fold: the fold of the dataset that is held out for validation; "all" or None to train with all cases.
        extra_dir: folder of the other dataset, of which no fold is held out; None for none.

    Raises:
        DatalistError: as :func:`bundle.data.select_cases`.
    """
    cases = [_with_extra(case, False) for case in select_cases(dataset_dir, "training", datalist, fold)]
    if not extra_dir:
        return cases
    extra = load_datalist(extra_dir, option="phantom_dir")["training"]
    logger.info("%s: %d extra training cases", extra_dir, len(extra))
    return cases + [_with_extra(case, True) for case in extra]


def _with_extra(case: Case, extra: bool) -> Case:
    """Return a case with all keys that a case may have, so that cases of both kinds can share a batch."""
    return {"patient": "", "group": "", "subset": "", "complete": False, **case, EXTRA: extra}


def mixed_sampler(dataset: Any, *, extra_share: float = 0.5, samples: int = 500) -> WeightedRandomSampler:
    """Return a sampler that draws cases with replacement, a given share of them extra ones.

    Args:
        dataset: dataset whose ``data`` are cases of :func:`select_mixed_cases`.
        extra_share: share of the draws that are extra cases, from 0 to 1; without extra cases, or with nothing else,
            it has no effect.
        samples: draws in an epoch.

    Raises:
        DatalistError: when a number is out of range.
    """
    if not 0 <= extra_share <= 1 or samples < 1:
        raise DatalistError(
            f"the share of extra cases must lie in [0, 1] and samples be 1 or more, got {extra_share} and {samples}."
        )
    extra = [bool(case.get(EXTRA)) for case in dataset.data]
    count = sum(extra)
    if count in (0, len(extra)):
        return WeightedRandomSampler([1.0] * len(extra), samples)
    weights = [extra_share / count if is_extra else (1 - extra_share) / (len(extra) - count) for is_extra in extra]
    return WeightedRandomSampler(weights, samples)
