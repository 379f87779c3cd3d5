"""A stream of tasks on a Dask cluster: few at a time, and those of a worker that dies elsewhere."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import count, islice
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from distributed import Client

logger = logging.getLogger(__name__)

T = TypeVar("T")

AHEAD = 3
"""Tasks that are known to the cluster for each of its threads."""

POLL = 2.0
"""Seconds between two looks at the number of the workers."""

SILENCE = 60.0
"""Seconds without a worker that can run the tasks after which it is logged."""

RETRIES = 3
"""How often a task is given to the cluster again that has ended too many workers for Dask, or failed with an error."""


class TaskStream:
    """Run a function for items on the workers of a cluster.

    Dask runs the task of a worker that has died on another one, by default up to three times
    (``distributed.scheduler.allowed-failures``). After that it is given to the cluster again, up to :data:`RETRIES`
    times. Neither the cluster nor this process holds more than a few tasks for each thread.

    Args:
        client: the cluster.
        function: function of one item; it and its results are pickled.
        resources: resources that a task needs.

    Attributes:
        workers: number of workers that have the resources, at the last look.
    """

    def __init__(
        self, client: Client, function: Callable[[Any], Any], *, resources: Mapping[str, float] | None = None
    ) -> None:
        self.client, self.function, self.resources = client, function, dict(resources or {})
        self.workers = 0
        self._keys = count()
        self._tries: dict[Any, int] = {}
        self._threads = 0
        self._looked = self._had_workers = time.monotonic()

    def run(self, items: Iterable[T]) -> Iterator[tuple[T, Any]]:
        """Yield every item with its result, in the order in which they end.

        An item whose task has failed too often comes with the exception.
        """
        waiting = iter(items)
        running: dict[Any, T] = {}
        self._look(force=True)
        try:
            while True:
                for item in islice(waiting, max(AHEAD * max(self._threads, 1) - len(running), 0)):
                    running[self._submit(item)] = item
                if not running:
                    return
                for future in self._wait(list(running)):
                    item = running.pop(future)
                    error = future.exception() if future.status != "finished" else None
                    if error is not None and self._may_retry(item, error):
                        running[self._submit(item)] = item
                    else:
                        self._tries.pop(id(item), None)
                        yield item, future.result() if error is None else error
                self._look()
        finally:
            self.client.cancel(list(running))

    def _wait(self, futures: list[Any]) -> set[Any]:
        """Return the tasks that have ended, after some seconds at the latest."""
        from distributed import wait

        with self.client.as_current():
            try:
                return wait(futures, timeout=POLL, return_when="FIRST_COMPLETED").done
            except TimeoutError:
                return set()

    def _submit(self, item: Any) -> Any:
        key = f"keyslice-{id(self)}-{next(self._keys)}"
        return self.client.submit(self.function, item, key=key, pure=False, resources=self.resources or None)

    def _may_retry(self, item: Any, error: BaseException) -> bool:
        tries = self._tries[id(item)] = self._tries.get(id(item), 0) + 1
        if tries > RETRIES:
            return False
        logger.warning("a task is tried again: %s: %s", type(error).__name__, error)
        return True

    def _look(self, *, force: bool = False) -> None:
        """Look at the workers from time to time, and log that none can run the tasks."""
        now = time.monotonic()
        if not force and now - self._looked < POLL:
            return
        self._looked = now
        threads = self._threads_of_workers()
        self.workers, self._threads = len(threads), sum(threads.values())
        if self.workers:
            self._had_workers = now
        elif now - self._had_workers > SILENCE:
            self._had_workers = now
            needed = " with " + ", ".join(f"{name}={number:g}" for name, number in self.resources.items())
            logger.warning("the cluster has no worker%s; the tasks wait", needed if self.resources else "")

    def _threads_of_workers(self) -> Mapping[str, int]:
        """Return the number of threads of every worker that has the resources of a task."""
        if not self.resources:
            return self.client.nthreads()
        workers: Mapping[str, Any] = self.client.scheduler_info(n_workers=-1)["workers"]
        return {name: worker["nthreads"] for name, worker in workers.items() if self._suits(worker["resources"])}

    def _suits(self, resources: Mapping[str, float]) -> bool:
        return all(resources.get(name, 0) >= number for name, number in self.resources.items())
