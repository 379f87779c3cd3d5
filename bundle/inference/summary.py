"""Summary of a run and its exit status."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ignite.engine import Events
from monai.engines import Workflow

from bundle.data.case_review import CaseReview
from bundle.results.result_folder import SUMMARY, read_results, write_summary
from bundle.results.result_tables import ResultTable, write_table
from bundle.utils.output_folder import check_output_folder
from bundle.utils.path_options import check_path_options
from bundle.utils.write_json import write_json

from .bids_derivative import check_description, write_bids_derivative
from .case_record import EXIT_BAD_CASES, CaseRecord, summarize
from .completed_cases import CompletedCases

logger = logging.getLogger(__name__)


class RunSummary:
    """Write ``<output_dir>/summary.json`` at the end of a run: results, failed cases, metrics, seconds.

    A case that failed after the network also has a separate JSON with what is known of its result
    (:class:`bundle.inference.CaseFindings`). An interrupted run leaves a summary of the completed cases, with
    ``"stopped"``.

    Where the dataset of the engine has ``completed``, every failed case has a JSON, and the file holds all cases in the
    folder, those of other runs and processes too; it is derived from the JSONs of the cases
    (:mod:`bundle.results.result_folder`).

    Args:
        output_dir: folder to write to; created when missing.
        sources: datasets and engines with ``records`` of cases, and writers such as
            :class:`bundle.inference.BackgroundWriter`, whose ``finish()`` is called before the file is written.
        enabled: False to write nothing, e.g. on all processes except the first.
        review: ratings by which cases were left out, which the summary names under ``"review"``; None for none.
        bids_dir: BIDS derivative to which the label maps are copied, too
            (:func:`bundle.inference.bids_derivative.write_bids_derivative`); None for none.

    Raises:
        ValueError: if ``monai.bundle`` has rewritten the folder, see :mod:`bundle.utils.path_options`.
    """

    def __init__(
        self,
        output_dir: str | Path,
        *,
        sources: Sequence[Any] = (),
        enabled: bool = True,
        review: CaseReview | None = None,
        bids_dir: str | Path | None = None,
    ) -> None:
        check_path_options(output_dir=output_dir, bids_dir=bids_dir)
        self.bids_dir = None if bids_dir is None else Path(str(bids_dir))
        self.review = review
        self.output_dir, self.sources, self.enabled = Path(str(output_dir)), list(sources), enabled
        self.completed: CompletedCases | None = None
        self._tables: list[ResultTable] = []
        self._running = False
        self._awaited = False
        self.started = time.perf_counter()

    @property
    def records(self) -> list[CaseRecord]:
        """Records of all cases of the sources."""
        return [record for source in self.sources for record in getattr(source, "records", [])]

    @property
    def failures(self) -> list[CaseRecord]:
        """Records of the failed cases."""
        return [record for record in self.records if record.status == "failed"]

    def attach(self, engine: Workflow) -> None:
        """Write the file at the end of the run of ``engine``."""
        if engine not in self.sources:
            self.sources.append(engine)
        self._awaited = True
        self.completed = getattr(getattr(getattr(engine, "data_loader", None), "dataset", None), "completed", None)
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.COMPLETED, self._write)
        engine.add_event_handler(Events.TERMINATE, self._write_stopped)

    def add_table(self, table: ResultTable, folder: Path, engine: Workflow) -> None:
        """Write a table at the end of the run of ``engine``, to which this handler is attached.

        Args:
            table: the table.
            folder: folder to write to, where it is not derived from all results in the folder of the summary.
            engine: the engine.
        """
        if self.completed is not None:
            self._tables.append(table)
            return

        def write(_: Workflow) -> None:
            write_table(table, folder, self.results())

        for event in (Events.COMPLETED, Events.TERMINATE):
            engine.add_event_handler(event, write)

    def results(self) -> Iterator[dict[str, Any]]:
        """Yield the JSONs of the completed and the failed cases."""
        if self.completed is not None:
            yield from (content for _, content in read_results(self.output_dir))
            return
        yield from (record.to_json() for record in self.records if record.is_completed or record.status == "failed")

    def exit(self) -> None:
        """End the process with status 2 if cases failed; for the ``finalize`` section of a config.

        Raises:
            ValueError: if the run of the engine never started, as MONAI skips one without a batch.
            SystemExit: if cases failed.
        """
        if self._awaited:
            raise ValueError("nothing was run: the data loader has no batch; compare the cases with batch_size.")
        if self.failures:
            raise SystemExit(EXIT_BAD_CASES)

    def _start(self, engine: Workflow) -> None:
        self._awaited = False
        self.started = time.perf_counter()
        check_output_folder("output_dir", self.output_dir)
        if self.bids_dir is not None:
            check_output_folder("bids_dir", self.bids_dir)
            check_description(self.bids_dir)
        self.output_dir.mkdir(parents=True, exist_ok=True)
        self._running = True

    def _write_stopped(self, engine: Workflow) -> None:
        if self._running:
            self._write(engine, stopped=True)

    def _write(self, engine: Workflow, stopped: bool = False) -> None:
        for source in self.sources:
            getattr(source, "finish", lambda: None)()
        for record in self.failures:
            logger.error("skipped: %s", record.message)
        self._running = False
        try:
            if self.enabled:
                self._write_file(engine, stopped=stopped)
                if self.bids_dir is not None and any(record.is_completed for record in self.records):
                    write_bids_derivative(self.output_dir, self.bids_dir)
        finally:
            if self.completed is not None:
                self.completed.claims.close()
        if self.enabled:
            self._log_counts()

    def _write_file(self, engine: Workflow, *, stopped: bool) -> None:
        content = summarize(
            [] if self.completed is not None else self.records,
            metrics=engine.state.metrics,
            seconds=time.perf_counter() - self.started,
            review=None if self.review is None or self.review.qc is None else self.review.to_json(),
            stopped=stopped,
        )
        if self.completed is not None:
            more = {name: value for name, value in content.items() if name not in ("cases", "failures")}
            write_summary(self.output_dir, tables=self._tables, more=more)
            return
        for record in self.failures:
            if record.findings is not None:
                write_json(self.output_dir / f"{record.case}.json", record.to_json())
        write_json(self.output_dir / SUMMARY, content)

    def _log_counts(self) -> None:
        completed = [record for record in self.records if record.is_completed]
        earlier = sum(record.status == "completed earlier" for record in completed)
        counts = f"{len(completed)} cases completed, " if completed else ""
        counts += f"{earlier} of them earlier, " if earlier else ""
        logger.info("%s%d skipped; summary in %s", counts, len(self.failures), self.output_dir / SUMMARY)
