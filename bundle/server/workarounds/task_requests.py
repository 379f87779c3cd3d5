"""monailabel 0.8.5: background tasks start with invalid requests, and twice at once.

A request for an unknown model, or for training without labels, gets the status 200 and fails later in a separate
process. A second request is refused (429) only when the process of the first one runs, not while it starts, and not at
all if the client waits for the result (``run_sync``).
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
"""Method and request of the tasks that clients wait for, which run in the server process."""


def install(check: Check) -> None:
    """Let ``AsyncTask.run`` call ``check(method, request)`` first and refuse a task that is already running.

    Scoring by another method is queued.

    Args:
        check: raises :class:`RequestError` for an invalid request.
    """

    def run(
        method: str,
        request: dict[str, Any] | None = None,
        params: dict[str, Any] | None = None,
        force_sync: bool = False,
        enqueue: bool = False,
    ) -> Any:
        merged = {**(request or {}), **(params or {})}
        check(method, merged)
        with _LOCK:
            if not enqueue and any(other.get("method") == merged.get("method") for other in _busy(method)):
                raise RequestError(
                    429, f"{method} is already running; wait for it, or stop it with DELETE, and try again."
                )
            if not force_sync:
                return _UPSTREAM(method, request, params, force_sync, enqueue=True)
            _AWAITED.append(awaited := (method, merged))
        try:
            return _UPSTREAM(method, request, params, force_sync, enqueue=True)
        finally:
            _AWAITED.remove(awaited)

    AsyncTask.run = staticmethod(run)


def _busy(method: str) -> list[Mapping[str, Any]]:
    """Return the queued and running requests of a method."""
    started = [task["request"] for task in tasks(method) if task["status"] in BUSY]
    return started + [request for name, request in _AWAITED if name == method]
