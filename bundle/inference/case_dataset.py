"""Datasets in which a case that cannot be loaded does not end the run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from monai.data import CacheDataset, Dataset, list_data_collate

from .case_record import RECORD, CaseRecord, new_record
from .completed_cases import CompletedCases

Case = dict[str, Any]


class CaseDataset(Dataset):
    """MONAI's ``Dataset`` whose items have a :class:`bundle.inference.CaseRecord` under ``"record"``.

    The item of a case that failed, or that an earlier run has completed, is its record alone.

    Args:
        data: cases, see :func:`bundle.data.list_cases`.
        transform: transforms of a case.
        completed: finds the cases that an earlier run has completed, which are not loaded; None for none.
    """

    def __init__(
        self,
        data: Sequence[Case],
        transform: Callable[..., Any] | Sequence[Callable[..., Any]],
        *,
        completed: CompletedCases | None = None,
    ) -> None:
        super().__init__(data=data, transform=transform)
        self.completed = completed

    def _transform(self, index: int) -> Any:
        case = self.data[index]
        record = new_record(case)
        try:
            if self.completed is not None:
                earlier = self.completed.find(case)
                if earlier is not None:
                    record.status, record.results = "completed earlier", earlier
                    return {RECORD: record}
                record.provenance = self.completed.provenance(case["image"])
            return {**self.transform(dict(case)), RECORD: record}
        except Exception as error:
            record.fail(error)
            return {RECORD: record}


class CaseCacheDataset(CacheDataset):
    """MONAI's ``CacheDataset`` that skips the cases that cannot be loaded and keeps their ``records``.

    Args:
        data: cases with ``"image"`` and ``"label"``.
        transform: deterministic transforms, then random ones.
        kwargs: as for ``CacheDataset``.

    Attributes:
        records: records of the failed cases.

    Raises:
        ValueError: when no case can be used.
    """

    def __init__(self, data: Sequence[Case], transform: Any, **kwargs: Any) -> None:
        self.records: list[CaseRecord] = []
        super().__init__(data=data, transform=transform, **kwargs)

    def set_data(self, data: Sequence[Case]) -> None:
        """Load and cache ``data``, without the cases that cannot be loaded."""
        super().set_data(data)
        self.records = [item for item in self._cache if isinstance(item, CaseRecord)]
        kept = [index for index, item in enumerate(self._cache) if not isinstance(item, CaseRecord)]
        self.data = [self.data[index] for index in [*kept, *range(len(self._cache), len(self.data))]]
        if self.records and not self.data:
            raise ValueError(f"none of the {len(data)} cases can be used; the first: {self.records[0].message}")
        self._cache = [self._cache[index] for index in kept]
        self.cache_num = len(kept)

    def _load_cache_item(self, idx: int) -> Any:
        try:
            return super()._load_cache_item(idx)
        except Exception as error:
            record = new_record(self.data[idx])
            record.fail(error)
            return record


def collate_cases(batch: Sequence[Any]) -> Any:
    """Collate the item of :class:`CaseDataset` as MONAI does, and keep its record as it is.

    Raises:
        ValueError: when the batch has more than one case of ``CaseDataset``; other items are collated in any number.
    """
    if not isinstance(batch[0], dict) or RECORD not in batch[0]:
        return list_data_collate(batch)
    if len(batch) > 1:
        raise ValueError(f"batch_size must be 1 for the cases of CaseDataset, got {len(batch)}.")
    record, item = batch[0][RECORD], {key: value for key, value in batch[0].items() if key != RECORD}
    return {**(list_data_collate([item]) if item else {}), RECORD: record}
