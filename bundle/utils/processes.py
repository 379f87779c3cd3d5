"""Values of a run in several processes, as under ``torchrun``."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from itertools import groupby, zip_longest
from typing import TypeVar

import ignite.distributed as idist
import torch
from monai.utils import evenly_divisible_all_gather

T = TypeVar("T")


def gather_cases(items: Sequence[T], case_of: Callable[[T], str]) -> list[T]:
    """Return what all processes have collected of their cases, each case once; the same list in every process.

    Processes may have different numbers of cases, or none. A case that several have, as samplers repeat some to give
    every process as many, is taken from one of them. The cases of all processes are interleaved, which is their order
    in the dataset where process r of n takes every n-th case from r on.

    Args:
        items: items of this process, those of a case in a row.
        case_of: returns the name of the case of an item.

    Returns:
        The items of all processes; those of this one if it is alone.

    Examples:
        >>> gather_cases(["a 1", "a 2", "b 1"], lambda item: item[0])
        ['a 1', 'a 2', 'b 1']
    """
    if idist.get_world_size() == 1:
        return list(items)
    return merge_cases(_gather(list(items)), case_of)


def merge_cases(parts: Sequence[Sequence[T]], case_of: Callable[[T], str]) -> list[T]:
    """Return the items of several processes with each case once, see :func:`gather_cases`."""
    owners: dict[str, int] = {}
    merged: list[T] = []
    groups = [[(case, list(group)) for case, group in groupby(part, case_of)] for part in parts]
    for row in zip_longest(*groups):
        for process, group in enumerate(row):
            if group is not None and owners.setdefault(group[0], process) == process:
                merged += group[1]
    return merged


def decided_by_first(decision: bool) -> bool:
    """Return the decision of process 0, in all processes."""
    if idist.get_world_size() == 1:
        return decision
    return bool(idist.broadcast(float(decision), src=0))


def _gather(items: list[T]) -> list[list[T]]:
    data = torch.frombuffer(bytearray(pickle.dumps(items)), dtype=torch.uint8)
    return [pickle.loads(bytes(part.cpu().numpy())) for part in evenly_divisible_all_gather(data, concat=False)]  # noqa: S301
