"""Datasets in which a case that cannot be loaded does not end the run."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.data import CacheDataset, Dataset, list_data_collate

from bundle.io.identifiers import identifiers_of
from bundle.io.remote_files import fetch, is_remote
from bundle.io.volume_files import files_of
from bundle.utils.memory import available_memory, process_share, share_heap
from bundle.utils.parse_bool import parse_bool

from .case_record import RECORD, CaseRecord, new_record
from .completed_cases import CompletedCases
from .given_predictions import GivenPredictions
from .plausibility import Plausibility

Case = dict[str, Any]

GB = 1024**3

logger = logging.getLogger(__name__)


class CaseDataset(Dataset):
    """MONAI's ``Dataset`` whose items have a :class:`bundle.inference.CaseRecord` under ``"record"``.

    The item of a case that failed, or that an earlier run has completed, is its record alone.

    Args:
        data: cases, see :func:`bundle.data.list_cases`.
        transform: transforms of a case.
        completed: finds the cases that an earlier run has completed, which are not loaded; None for none.
        given: predictions to score; if enabled, its transform is used instead. None for none.
        identifiers: whether records get the identifiers of their images, see
            :func:`bundle.io.identifiers.identifiers_of`; text such as ``"true"`` of a command line is understood.
        plausibility: judges the numbers of every result; None for nothing.
    """

    def __init__(
        self,
        data: Sequence[Case],
        transform: Callable[..., Any] | Sequence[Callable[..., Any]],
        *,
        completed: CompletedCases | None = None,
        given: GivenPredictions | None = None,
        identifiers: bool | int | str = False,
        plausibility: Plausibility | None = None,
    ) -> None:
        if given is not None and given.enabled:
            data, transform = given.add_to(data), given.load
        super().__init__(data=data, transform=transform)
        self.completed, self.identifiers = completed, parse_bool("identifiers", identifiers)
        self.plausibility = plausibility

    def _transform(self, index: int) -> Any:
        case = self.data[index]
        record = new_record(case)
        self._identify(record)
        record.plausibility = self.plausibility
        try:
            if self.completed is not None and self._find_earlier(record, case, self.completed):
                return {RECORD: record}
            item = self.transform({**case, **_fetch(record, case)})
            self._identify(record, getattr(item.get("image"), "meta", None))
            return {**item, RECORD: record}
        except Exception as error:
            record.fail(error)
            return {RECORD: record}

    def _find_earlier(self, record: CaseRecord, case: Case, completed: CompletedCases) -> bool:
        """Return whether another run, or another process of this one, has completed the case or failed in it."""
        earlier = completed.find(case)
        if earlier is not None and "error" in earlier:
            record.status, record.error, record.message = "failed", earlier["error"], earlier["message"]
            return True
        record.folder = completed.output_dir
        if earlier is not None:
            record.status, record.results = "completed earlier", earlier
            return True
        record.claim = completed.claim_of(record.case)  # first, so that it is given back if the next line raises
        record.provenance = completed.provenance(case["image"])
        if record.claim is not None:
            record.claim.check_attempts()
        return False

    def _identify(self, record: CaseRecord, meta: Mapping[str, Any] | None = None) -> None:
        if self.identifiers:
            record.identifiers = identifiers_of(record.file, meta)


def _fetch(record: CaseRecord, case: Case) -> Case:
    """Copy the files of a case at addresses to this machine until the case is settled; return what changes in it."""
    files = files_of(case.get("image", ""))
    if not any(map(is_remote, files)):
        return {}
    record.address = record.file
    record.temporary, copies = fetch(files)
    return {"image": str(copies[0]) if len(copies) == 1 else [str(copy) for copy in copies]}


class Uncached:
    """Stands in the cache for a case that did not fit in the memory budget."""


class CaseCacheDataset(CacheDataset):
    """MONAI's ``CacheDataset`` with a memory budget; cases that cannot be loaded are skipped, with ``records``.

    Every case is loaded once at the start. The cases that do not fit in the budget are then loaded again whenever they
    are used; the items are the same.

    Args:
        data: cases with ``"image"`` and ``"label"``.
        transform: deterministic transforms, then random ones.
        cache_gb: memory for the cached cases in GB (2**30 bytes), 0 for no cache; None for half of the memory that is
            available now, divided by the processes on this machine.
        kwargs: as for ``CacheDataset``.

    Attributes:
        records: records of the failed cases.

    Raises:
        ValueError: when no case can be used, or ``cache_gb`` is negative.
    """

    def __init__(self, data: Sequence[Case], transform: Any, *, cache_gb: float | None = None, **kwargs: Any) -> None:
        if cache_gb is not None and not cache_gb >= 0:
            raise ValueError(f"cache_gb must be 0 or more, or null, got {cache_gb}.")
        self.records: list[CaseRecord] = []
        self.cache_gb = cache_gb
        super().__init__(data=data, transform=transform, **kwargs)

    @property
    def cached_bytes(self) -> int:
        """Memory of the cached cases."""
        return self._used

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for another process, without the lock, which is for loading alone."""
        return {key: value for key, value in self.__dict__.items() if key != "_lock"}

    def set_data(self, data: Sequence[Case]) -> None:
        """Load and cache ``data``, without the cases that cannot be loaded."""
        share_heap()
        half = available_memory() * process_share() / 2
        self._budget = half if self.cache_gb is None else self.cache_gb * GB
        self._used = 0
        self._lock = threading.Lock()
        super().set_data(data)
        self.records = [item for item in self._cache if isinstance(item, CaseRecord)]
        kept = [index for index, item in enumerate(self._cache) if not isinstance(item, CaseRecord)]
        self.data = [self.data[index] for index in [*kept, *range(len(self._cache), len(self.data))]]
        if self.records and not self.data:
            raise ValueError(f"none of the {len(data)} cases can be used; the first: {self.records[0].message}")
        self._cache = [self._cache[index] for index in kept]
        self.cache_num = len(kept)
        self._log_cache()

    def _log_cache(self) -> None:
        cached = sum(item is not Uncached for item in self._cache)
        logger.info("%d of %d cases are cached, %.2f GB", cached, len(self.data), self._used / GB)
        if cached < self.cache_num and self._budget:
            logger.warning(
                "%d of %d cases do not fit in the cache of %.2f GB and are loaded again in every epoch; "
                "cache_gb sets its size",
                self.cache_num - cached,
                len(self.data),
                self._budget / GB,
            )

    def _load_cache_item(self, idx: int) -> Any:
        try:
            item = super()._load_cache_item(idx)
        except Exception as error:
            record = new_record(self.data[idx])
            record.fail(error)
            return record
        size = _size_of(item)
        with self._lock:
            if self._used + size > self._budget:
                return Uncached
            self._used += size
        return item

    def _transform(self, index: int) -> Any:
        place = index % len(self)
        if place < self.cache_num and self._cache[place] is Uncached:
            return Dataset._transform(self, index)
        return super()._transform(index)


def _size_of(item: Any) -> int:
    """Return the bytes of the arrays and tensors of a case."""
    if isinstance(item, Mapping):
        return sum(map(_size_of, item.values()))
    if isinstance(item, list | tuple):
        return sum(map(_size_of, item))
    return item.nbytes if isinstance(item, np.ndarray | torch.Tensor) else 0


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
