"""monailabel 0.8.5: background tasks continue after the server has stopped.

On SIGTERM or SIGINT the server does not stop the processes of its tasks, which can run for hours.
"""

from __future__ import annotations

import logging
import signal
import threading
from types import FrameType
from typing import Any

from monailabel.utils.async_tasks import utils

logger = logging.getLogger(__name__)

SIGNALS = (signal.SIGTERM, signal.SIGINT)


def install() -> None:
    """Stop all tasks on SIGTERM or SIGINT before the previous handler runs; does nothing outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        return
    for number in SIGNALS:
        signal.signal(number, _handler(signal.getsignal(number)))


def stop_tasks() -> None:
    """Stop all running and queued tasks."""
    for method, executor in utils.background_executors.items():
        executor.shutdown(wait=False, cancel_futures=True)
        while utils.processes(method):
            utils.stop_background_task(method)


def _handler(previous: Any) -> Any:
    def handle(number: int, frame: FrameType | None) -> None:
        try:
            stop_tasks()
        except Exception:
            logger.exception("cannot stop a background task")
        finally:
            if callable(previous):
                previous(number, frame)

    return handle
