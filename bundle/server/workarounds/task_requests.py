"""monailabel 0.8.5: trainings, scorings and batches are started whatever the request asks for, and two at once.

A request for a model that does not exist, or for a training without labels, is answered with 200 and fails later in a
process of its own. A second request is refused (429) only once the process of the first one runs, not while it is about
to be started; what a client waits for (``run_sync``) runs beside it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from monailabel.utils.async_tasks.task import AsyncTask
from monailabel.utils.async_tasks.utils import tasks

from bundle.server.server_errors import RequestError

Check = Callable[[str, Mapping[str, Any]], None]

BUSY = ("SUBMITTED", "RUNNING")

_UPSTREAM = AsyncTask.run
_LOCK = threading.Lock()
_AWAITED: list[tuple[str, Mapping[str, Any]]] = []
"""Method and request of the tasks that clients wait for, which run in the server itself."""


def install(check: Check) -> None:
    """Let ``AsyncTask.run`` call ``check(method, request)`` first, and refuse what is asked for twice at once.

    Scorings by different methods wait for each other.

    Args:
        check: raises :class:`RequestError` for a request that cannot be carried out.
    """

    def run(
        method: str,
        request: dict[str, Any] | None = None,
        params: dict[str, Any] | None = None,
        force_sync: bool = False,
        enqueue: bool = False,
    ) -> Any:
        asked = {**(request or {}), **(params or {})}
        check(method, asked)
        with _LOCK:
            if not enqueue and any(other.get("method") == asked.get("method") for other in _busy(method)):
                raise RequestError(
                    429, f"{method} is running already; wait until it ends, or stop it with DELETE, and ask again."
                )
            if not force_sync:
                return _UPSTREAM(method, request, params, force_sync, enqueue=True)
            _AWAITED.append(awaited := (method, asked))
        try:
            return _UPSTREAM(method, request, params, force_sync, enqueue=True)
        finally:
            _AWAITED.remove(awaited)

    AsyncTask.run = staticmethod(run)


def _busy(method: str) -> list[Mapping[str, Any]]:
    """Return the requests of a kind that wait or run."""
    started = [task["request"] for task in tasks(method) if task["status"] in BUSY]
    return started + [request for name, request in _AWAITED if name == method]
