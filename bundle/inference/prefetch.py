"""Loading of the next case while this one is processed."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from monai.data import DataLoader

from .shared_cases import SharedCases

_END = object()


class PrefetchLoader(DataLoader):
    """MONAI's ``DataLoader`` whose next batches are made by one thread of this process.

    At most ``ahead`` batches are ready in addition to the one in use, including the one being loaded, so memory is
    bounded. An error of the loader comes up where the batch is asked for (in MONAI's ``ThreadDataLoader`` it ends the
    iteration, and cases are missing without a word). When the iteration is left early, the batch in the making is
    waited for and no further one is begun.

    Cases of a dataset that resumes are shared with other processes that write to the same folder, see
    :class:`bundle.inference.shared_cases.SharedCases`.

    Args:
        dataset: dataset to load from.
        ahead: batches to load ahead; 0 loads each one when it is requested.
        kwargs: as for ``DataLoader``.

    Raises:
        ValueError: when ``ahead`` is negative.
    """

    def __init__(self, dataset: Any, *, ahead: int = 1, **kwargs: Any) -> None:
        completed = getattr(dataset, "completed", None)
        self.shared: SharedCases | None = None
        if completed is not None and completed.enabled:
            is_separate = ahead > 0 and not kwargs.get("num_workers")
            self.shared = kwargs["sampler"] = SharedCases(dataset.data, completed, one_by_one=is_separate)
        super().__init__(dataset, **kwargs)
        if ahead < 0:
            raise ValueError(f"ahead must be 0 or more batches, got {ahead}.")
        self.ahead = ahead

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        """Yield the batches in order."""
        if self.shared is not None:
            self.shared.completed.claims.open()
        if not self.ahead:
            yield from super().__iter__()
            return
        batches = super().__iter__()
        with ThreadPoolExecutor(1, thread_name_prefix="loader") as pool:
            try:
                ready = deque(pool.submit(next, batches, _END) for _ in range(self.ahead))
                while (batch := _next_of(ready)) is not _END:
                    ready.append(pool.submit(next, batches, _END))
                    yield batch
                    del batch
            finally:
                if self.shared is not None:
                    self.shared.stop()
                pool.shutdown(cancel_futures=True)


def _next_of(ready: deque[Future[Any]]) -> Any:
    return ready.popleft().result()
