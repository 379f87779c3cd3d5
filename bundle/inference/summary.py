"""Summary of a run and its exit status."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ignite.engine import Events
from monai.engines import Workflow

from bundle.utils.write_json import write_json

from .resume import DONE

logger = logging.getLogger(__name__)

EXIT_BAD_CASES = 2
"""Exit status of a run that left out cases."""


class RunSummary:
    """Write ``<output_dir>/summary.json`` at the end of a run: results, cases that were left out, seconds.

    A run that is cut off leaves a summary of what was done, with ``"stopped"``.

    Args:
        output_dir: folder to write to; made when missing.
        sources: datasets, engines or writers that keep records of what failed as ``failures``. A writer, such as
            :class:`bundle.inference.BackgroundWriter`, also has ``results``, ``restart()`` and ``finish()``, which is
            called before the file is written.
        enabled: False to write nothing, e.g. on all processes but the first.
    """

    def __init__(self, output_dir: str | Path, *, sources: Sequence[Any] = (), enabled: bool = True) -> None:
        self.output_dir, self.sources, self.enabled = Path(str(output_dir)), list(sources), enabled
        self._collected: list[dict[str, Any]] = []
        self._running = False
        self.started = time.perf_counter()

    @property
    def results(self) -> list[dict[str, Any]]:
        """Records of all cases that are done."""
        return [*self._collected, *(result for source in self.sources for result in getattr(source, "results", []))]

    @property
    def failures(self) -> list[dict[str, str]]:
        """Records of all cases that were left out."""
        return [failure for source in self.sources for failure in getattr(source, "failures", [])]

    def attach(self, engine: Workflow) -> None:
        """Collect the results of ``engine``'s iterations and write the file at the end."""
        if engine not in self.sources:
            self.sources.append(engine)
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._collect)
        engine.add_event_handler(Events.COMPLETED, self._write)
        engine.add_event_handler(Events.TERMINATE, self._write_stopped)

    def exit(self) -> None:
        """End the process with status 2 if cases were left out; for the ``finalize`` section of a config.

        Raises:
            SystemExit: if cases were left out.
        """
        if self.failures:
            raise SystemExit(EXIT_BAD_CASES)

    def _start(self, engine: Workflow) -> None:
        self._collected.clear()
        for writer in self._writers:
            writer.restart()
        self.started = time.perf_counter()
        try:
            self.output_dir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ValueError(
                f"output_dir {self.output_dir} cannot be made ({error}); pass another --output_dir."
            ) from error
        self._running = True

    @property
    def _writers(self) -> list[Any]:
        return [source for source in self.sources if hasattr(source, "finish")]

    def _collect(self, engine: Workflow) -> None:
        output = engine.state.output
        self._collected += [item["result"] for item in output if "result" in item] if isinstance(output, list) else []

    def _write_stopped(self, engine: Workflow) -> None:
        if self._running:
            self._write(engine, stopped=True)

    def _write(self, engine: Workflow, stopped: bool = False) -> None:
        for writer in self._writers:
            writer.finish()
        for failure in self.failures:
            logger.error("left out: %s", failure["message"])
        if not self.enabled:
            self._running = False
            return
        content: dict[str, Any] = {
            "cases": self.results,
            "failures": self.failures,
            "metrics": {name: float(value) for name, value in engine.state.metrics.items()},
            "seconds": round(time.perf_counter() - self.started, 3),
            **({"stopped": True} if stopped else {}),
        }
        path = self.output_dir / "summary.json"
        write_json(path, content)
        self._running = False
        earlier = sum(bool(result.get(DONE)) for result in content["cases"])
        done = f"{len(content['cases'])} cases done, " if content["cases"] else ""
        done += f"{earlier} of them earlier, " if earlier else ""
        logger.info("%s%d left out; summary in %s", done, len(self.failures), path)
