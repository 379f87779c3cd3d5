"""A clean end on Ctrl-C and on the signal to terminate."""

from __future__ import annotations

import logging
import signal
import threading
from types import FrameType
from typing import Any

from ignite.engine import Engine, Events

logger = logging.getLogger(__name__)

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(SystemExit):
    """The end of a run by a signal; the exit status is 128 and the number of the signal, as in a shell."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.number = number

    def __str__(self) -> str:
        return f"stopped by {signal.Signals(self.number).name}"


class CleanStop:
    """End a run at SIGINT or SIGTERM: drop the current case and raise :class:`Stopped`.

    :class:`bundle.inference.CaseEvaluator` then lets the writer finish and the summary be written. A second signal ends
    the process at once, as without this handler. Signals are taken from the start of a run to its end, in the main
    thread; elsewhere this handler does nothing.
    """

    def __init__(self) -> None:
        self.stopped: Stopped | None = None
        self._before: dict[int, Any] = {}

    def attach(self, engine: Engine) -> None:
        """Handle the signals while ``engine`` runs."""
        engine.add_event_handler(Events.STARTED, self._set_handlers)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._check)
        for event in (Events.COMPLETED, Events.TERMINATE):
            engine.add_event_handler(event, self._restore_handlers)

    def _set_handlers(self, _: Engine) -> None:
        self.stopped = None
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._stop) for number in SIGNALS}

    def _restore_handlers(self, _: Engine | None = None) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)
        self._before = {}

    def _stop(self, number: int, _: FrameType | None) -> None:
        self._restore_handlers()
        self.stopped = Stopped(number)
        logger.warning("%s: completed cases are kept, the current case is dropped", self.stopped)
        raise self.stopped

    def _check(self, _: Engine) -> None:
        """Raise again what Python ignores when a signal arrives while an object is deleted."""
        if self.stopped is not None:
            raise self.stopped
