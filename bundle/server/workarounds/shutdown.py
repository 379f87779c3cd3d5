"""monailabel 0.8.5: a training, scoring or batch outlives the server that started it.

The server that gets SIGTERM or SIGINT leaves the processes of its tasks behind; they go on for hours, unseen.
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
    """Stop all tasks when this process is told to end, and then do what it did before; for the main thread only."""
    if threading.current_thread() is not threading.main_thread():
        return
    for number in SIGNALS:
        signal.signal(number, _handler(signal.getsignal(number)))


def stop_tasks() -> None:
    """End the processes of all tasks, and those that wait for their turn."""
    for method, executor in utils.background_executors.items():
        executor.shutdown(wait=False, cancel_futures=True)
        while utils.processes(method):
            utils.stop_background_task(method)


def _handler(earlier: Any) -> Any:
    def handle(number: int, frame: FrameType | None) -> None:
        try:
            stop_tasks()
        except Exception:
            logger.exception("a task could not be stopped")
        finally:
            if callable(earlier):
                earlier(number, frame)

    return handle
