"""Datasets in which one bad case does not end the run.

A case whose transforms fail becomes a record of the failure; the others go on. The record is a plain dictionary, so
that it crosses worker processes and ends up in ``summary.json`` as it is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from monai.data import CacheDataset, Dataset, list_data_collate

from .failures import FAILURE, record_failure
from .resume import DONE, MADE_FROM, DoneCases

Case = dict[str, Any]


class CaseDataset(Dataset):
    """MONAI's ``Dataset`` whose items are transformed cases, ``{"failure": record}`` or ``{"done_earlier": record}``.

    Args:
        data: cases, see :func:`bundle.data.list_cases`.
        transform: transforms of a case; the key ``"started"`` tells them when its processing began, in seconds, and
            ``"made_from"`` what :class:`bundle.inference.SaveSegmentationd` notes for a later run.
        done: tells which cases an earlier run has done; these are not loaded. None for none.
    """

    def __init__(
        self,
        data: Sequence[Case],
        transform: Callable[..., Any] | Sequence[Callable[..., Any]],
        *,
        done: DoneCases | None = None,
    ) -> None:
        super().__init__(data=data, transform=transform)
        self.done = done

    def _transform(self, index: int) -> Any:
        case = self.data[index]
        try:
            record = None if self.done is None else self.done.find(case)
            if record is not None:
                return {DONE: record}
            stamp = {} if self.done is None else {MADE_FROM: self.done.stamp(case["image"])}
            return self.transform({**case, **stamp, "started": time.perf_counter()})
        except Exception as error:
            return {FAILURE: record_failure(case, error)}


class CaseCacheDataset(CacheDataset):
    """MONAI's ``CacheDataset`` that leaves out the cases that cannot be loaded and remembers them as ``failures``.

    Args:
        data: cases with ``"image"`` and ``"label"``.
        transform: deterministic transforms, then random ones.
        kwargs: as for ``CacheDataset``.

    Raises:
        ValueError: when no case can be used.
    """

    def __init__(self, data: Sequence[Case], transform: Any, **kwargs: Any) -> None:
        self.failures: list[dict[str, str]] = []
        super().__init__(data=data, transform=transform, **kwargs)

    def set_data(self, data: Sequence[Case]) -> None:
        """Load and cache ``data``, leaving out what cannot be loaded."""
        super().set_data(data)
        self.failures = [item[FAILURE] for item in self._cache if FAILURE in item]
        kept = [index for index, item in enumerate(self._cache) if FAILURE not in item]
        self.data = [self.data[index] for index in [*kept, *range(len(self._cache), len(self.data))]]
        if self.failures and not self.data:
            raise ValueError(f"none of the {len(data)} cases can be used; the first: {self.failures[0]['message']}")
        self._cache = [self._cache[index] for index in kept]
        self.cache_num = len(kept)

    def _load_cache_item(self, idx: int) -> Any:
        try:
            return super()._load_cache_item(idx)
        except Exception as error:
            return {FAILURE: record_failure(self.data[idx], error)}


def collate_cases(batch: Sequence[Any]) -> Any:
    """Collate as MONAI does; a case that failed or is done makes its record the batch (use batches of one)."""
    for item in batch:
        if isinstance(item, dict) and (FAILURE in item or DONE in item):
            return item
    return list_data_collate(batch)
