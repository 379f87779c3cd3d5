"""Progress of a whole inference job: one bar with the time left and, on request, JSON lines."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import RLock
from typing import Any

from ignite.engine import Events
from monai.engines import Evaluator
from monai.engines.utils import IterationEvents
from tqdm import tqdm

from bundle.utils.errors import BundleError

from .case_record import record_of_batch
from .windows import windowed_inferer

logger = logging.getLogger(__name__)

SHARES = {"read": 0.05, "network": 0.85, "restore": 0.08}
"""Shares of the stages in the time of a case, until the first one is done and they are measured."""

WRITE = 0.02
"""Share of the writing, which runs in the background."""


class JobProgress:
    """Show the progress of an inference job: reading, network, postprocessing and writing of all cases in one bar.

    JSON lines have ``case``, ``stage`` (``"read"``, ``"network"``, ``"restore"`` for the postprocessing, ``"write"``,
    at last ``"end"``), ``done`` and ``total`` of the stage, ``seconds_left`` of the job (null until it is known),
    ``cases_done`` and ``cases``. Cases that an earlier run has completed do not count. The time left is estimated from
    the time so far; within a case, from the shares of the stages so far. When lines cannot be written, as to a full
    disk or a broken pipe, a warning is logged and the job continues without them.

    Args:
        inferer: the inferer, or a wrapper of it with ``inferer``, that has an ``on_window``: an attribute that this
            handler sets to a function of the number of processed windows and of all. None, or one without it, counts
            cases.
        writer: writer with ``on_written`` and ``finish()``, such as :class:`bundle.inference.BackgroundWriter`; None
            where the postprocessing writes.
        json_lines: file to write JSON lines to, or ``"-"`` for standard error, without the bar. None for none.
        interval: seconds between JSON lines of one stage, at least.
        enabled: False to do nothing, e.g. on all processes except the first.
    """

    def __init__(
        self,
        *,
        inferer: Any = None,
        writer: Any = None,
        json_lines: str | Path | None = None,
        interval: float = 0.5,
        enabled: bool = True,
    ) -> None:
        self.inferer, self.writer, self.interval, self.enabled = inferer, writer, interval, enabled
        self.json_lines = str(json_lines) if json_lines else None
        self._lock = RLock()
        self._stream: Any = None
        self._bar: Any = None

    def attach(self, engine: Evaluator) -> None:
        """Follow the run of ``engine``."""
        if not self.enabled:
            return
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.GET_BATCH_STARTED, lambda _: self._enter("read"))
        engine.add_event_handler(Events.GET_BATCH_COMPLETED, self._loaded)
        engine.add_event_handler(IterationEvents.FORWARD_COMPLETED, self._forwarded)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._case_done)
        for event in (Events.COMPLETED, Events.TERMINATE):
            engine.add_event_handler(event, lambda _: self._end())

    def _start(self, engine: Evaluator) -> None:
        self.cases = int(engine.state.epoch_length or 0)
        self.cases_done = self.written = 0
        self.seconds = dict.fromkeys(SHARES, 0.0)
        self.case: str | None = None
        self.stage, self._share, self._earlier = "between", 0.0, False
        self._began = self._entered = time.monotonic()
        self._line_at = 0.0
        self._stream = sys.stderr if self.json_lines == "-" else None
        if self.json_lines not in (None, "-"):
            self._stream = _open_lines(Path(str(self.json_lines)))
        self._bar = tqdm(
            total=1.0,
            disable=True if self.json_lines == "-" else None,
            bar_format="{percentage:3.0f}%|{bar}| {desc} [{elapsed}{postfix}]",
            dynamic_ncols=True,
        )
        self._hook(self._on_window, self._on_written)

    def _hook(self, on_window: Callable[[int, int], None] | None, on_written: Callable[[str], None] | None) -> None:
        inferer = windowed_inferer(self.inferer)
        if inferer is not None:
            inferer.on_window = on_window
        if self.writer is not None:
            self.writer.on_written = on_written

    def _enter(self, stage: str) -> None:
        """Enter a stage and add the seconds of the one before."""
        with self._lock:
            now = time.monotonic()
            if self.stage in self.seconds:
                self.seconds[self.stage] += now - self._entered
            self.stage, self._entered, self._share = stage, now, 0.0

    def _loaded(self, engine: Evaluator) -> None:
        batch: Any = engine.state.batch
        record = record_of_batch(batch)
        self.case, self._earlier = record.case, record.status == "completed earlier"
        if self._earlier:
            self.cases -= 1
        self._report(1, 1, self.case, always=True)
        self._enter("network")

    def _on_window(self, done: int, total: int) -> None:
        self._share = done / total
        self._report(done, total, self.case, always=done == total)

    def _forwarded(self, _: Evaluator) -> None:
        self._enter("restore")
        self._report(0, 1, self.case, always=True)

    def _case_done(self, engine: Evaluator) -> None:
        with self._lock:
            failed = not engine.state.output and not self._earlier
            if not failed and not self._earlier:
                self._report(1, 1, self.case, always=True)
            self._enter("between")
            self.cases_done += not self._earlier
            self.written += failed or (self.writer is None and not self._earlier)

    def _on_written(self, case: str) -> None:
        with self._lock:
            self.written += 1
            self._report(1, 1, case, stage="write", always=True)

    def _end(self) -> None:
        if self._bar is None:
            return
        if self.writer is not None:
            self.writer.finish()
        self._hook(None, None)
        self._report(self.written, self.cases, None, stage="end", always=True)
        self._bar.close()
        try:
            if self._stream not in (None, sys.stderr):
                self._stream.close()
        except OSError as error:
            self._give_up_lines(error)
        self._bar = self._stream = None

    def _give_up_lines(self, error: OSError) -> None:
        """Warn that the JSON lines end here, and continue without them."""
        logger.warning("no more JSON lines of the progress: %s", error)
        stream, self._stream = self._stream, None
        if stream is not sys.stderr:
            with suppress(OSError):
                stream.close()

    def _done(self) -> float:
        """Return the completed share of the job."""
        spent = sum(self.seconds.values())
        shares = SHARES
        if self.cases_done and spent > 0:
            shares = {stage: (1 - WRITE) * seconds / spent for stage, seconds in self.seconds.items()}
        within = 0.0
        if self.stage in shares:
            before = list(shares)[: list(shares).index(self.stage)]
            within = sum(shares[stage] for stage in before) + self._share * shares[self.stage]
        whole = (1 - WRITE) * self.cases_done + WRITE * self.written + within
        return min(whole / self.cases, 1.0) if self.cases else 1.0

    def _report(self, done: int, total: int, case: str | None, *, stage: str = "", always: bool = False) -> None:
        """Show in the bar, and as a JSON line, that ``done`` of ``total`` parts of a stage are processed."""
        with self._lock:
            now, share = time.monotonic(), self._done()
            left = (now - self._began) * (1 - share) / share if share > 0 else None
            self._bar.n = share
            self._bar.set_description_str(f"case {min(self.cases_done + 1, self.cases)}/{self.cases} {case or ''}")
            known = "" if left is None else f"{tqdm.format_interval(left)} left"
            self._bar.set_postfix_str(f"{stage or self.stage} {done}/{total}, {known}")
            if self._stream is None or not (always or now - self._line_at >= self.interval):
                return
            self._line_at = now
            line = {
                "case": case,
                "stage": stage or self.stage,
                "done": done,
                "total": total,
                "seconds_left": None if left is None else round(left, 1),
                "cases_done": self.cases_done,
                "cases": self.cases,
            }
            try:
                self._stream.write(json.dumps(line) + "\n")
            except OSError as error:
                self._give_up_lines(error)


def _open_lines(path: Path) -> Any:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return open(path, "w", encoding="utf-8", buffering=1)
    except OSError as error:
        raise BundleError(f"progress_json {path} cannot be written ({error}); pass a file.") from error
