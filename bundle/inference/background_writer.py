"""Writing of results beside the computing of the next case."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from threading import BoundedSemaphore
from typing import Any

from .failures import record_failure


class BackgroundWriter:
    """Run jobs of writing one behind the other in a thread of their own.

    A job that fails makes a failure of its case, and the others go on. Jobs that were taken are done before the process
    ends, but for SIGKILL.

    Args:
        waiting: jobs that may wait while one is written; :meth:`submit` blocks when there are more, so memory is
            bounded.

    Attributes:
        results: what the jobs returned.
        failures: records of the cases whose job failed.
        on_written: called with the name of a case when its job has ended, in the thread of the writer; or None.

    Raises:
        ValueError: when ``waiting`` is negative.
    """

    def __init__(self, *, waiting: int = 1) -> None:
        if waiting < 0:
            raise ValueError(f"waiting must be 0 or more jobs, got {waiting}.")
        self.results: list[dict[str, Any]] = []
        self.failures: list[dict[str, str]] = []
        self.on_written: Callable[[str], None] | None = None
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="writer")
        self._free = BoundedSemaphore(waiting + 1)
        self._jobs: list[Future[None]] = []

    def restart(self) -> None:
        """Forget the results and failures of an earlier run."""
        self.finish()
        self.results.clear()
        self.failures.clear()

    def submit(self, case: Mapping[str, Any], job: Callable[[], dict[str, Any]]) -> None:
        """Take a job that writes the result of ``case``, with ``"case"`` and ``"image"``, and returns its record."""
        self._free.acquire()
        self._jobs = [job for job in self._jobs if not job.done()]
        self._jobs.append(self._pool.submit(self._run, case, job))

    def finish(self) -> None:
        """Wait until all that was taken is written."""
        wait(self._jobs)

    def _run(self, case: Mapping[str, Any], job: Callable[[], dict[str, Any]]) -> None:
        try:
            self.results.append(job())
        except Exception as error:
            self.failures.append(record_failure(case, error))
        finally:
            self._free.release()
            if self.on_written is not None:
                self.on_written(str(case["case"]))
