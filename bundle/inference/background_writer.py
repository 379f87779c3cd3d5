"""Writing of results in a background thread, while the next case is computed."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import BoundedSemaphore
from typing import Any

from .case_record import CaseRecord
from .claims import Claim


class BackgroundWriter:
    """Run jobs that write, one after another, in a separate thread.

    A job that raises makes its case a failed one; the others continue. Submitted jobs are completed before the process
    ends, except by SIGKILL.

    Args:
        waiting: jobs that may wait while one is running; :meth:`submit` blocks when there are more, so memory is
            bounded.

    Attributes:
        on_written: called with the name of a case when its job has ended, in the background thread; or None.

    Raises:
        ValueError: when ``waiting`` is negative.

    Examples:
        >>> writer, record = BackgroundWriter(), CaseRecord("scan")
        >>> writer.submit(record, lambda: record.complete({"voxels": 7}))
        >>> writer.finish()
        >>> record.to_json()["voxels"]
        7
    """

    def __init__(self, *, waiting: int = 1) -> None:
        if waiting < 0:
            raise ValueError(f"waiting must be 0 or more jobs, got {waiting}.")
        self.on_written: Callable[[str], None] | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._free = BoundedSemaphore(waiting + 1)

    def submit(self, record: CaseRecord, job: Callable[[], Any]) -> None:
        """Run a job that writes the results of a case and completes its record."""
        self._free.acquire()
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, thread_name_prefix="writer")
        self._pool.submit(self._run, record, job)

    def finish(self) -> None:
        """Wait until all submitted jobs have ended, and end the thread; the next job starts another one."""
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None

    def _run(self, record: CaseRecord, job: Callable[[], Any]) -> None:
        try:
            job()
        except Exception as error:
            record.fail(error)
        finally:
            self._free.release()  # first, or an error of the next line would block all further jobs
            record.settle()
            if self.on_written is not None:
                self.on_written(record.case)


def run_or_submit(writer: BackgroundWriter | None, record: CaseRecord, job: Callable[[], Any]) -> None:
    """Run a job in the background, or at once where there is no writer.

    Raises:
        ClaimLostError: in the background, or here, if another process has taken the case over: nothing is written then.
    """
    if record.claim is not None:
        job = partial(_run_claimed, record.claim, job)
    if writer is None:
        job()
        record.settle()
    else:
        writer.submit(record, job)


def _run_claimed(claim: Claim, job: Callable[[], Any]) -> None:
    claim.require()
    job()
