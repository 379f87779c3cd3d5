"""Tables of a classification of images: all predictions, and a submission to an ISIC challenge."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ignite.engine import Events
from monai.engines import Workflow

from bundle.inference import RunSummary
from bundle.results.class_rows import PREDICTIONS_TABLE
from bundle.results.result_tables import write_table
from bundle.tasks.images.isic_submission import TABLES, check_confidences, write_confidences
from bundle.utils.check_choice import check_choice

logger = logging.getLogger(__name__)

SUBMISSION = "submission.csv"


class ClassTables:
    """Write ``predictions.csv`` at the end of a run: one row per image, with probability and decision of every class.

    With ``challenge``, ``submission.csv`` is also written and checked by the rules of the challenge; problems are
    logged. An interrupted run writes the tables of the completed images.

    Args:
        output_dir: folder to write to; created if missing.
        class_names: names of the classes.
        summary: summary of the run, attached before this handler; the tables contain its results. None for those of the
            evaluator, which are complete only if results are not written in the background.
        challenge: ``"isic2017_part3"`` or ``"isic2018_task3"``, which must have the classes ``class_names``; None for
            none.

    Raises:
        ValueError: when the challenge is unknown or has other classes.
    """

    def __init__(
        self,
        output_dir: str | Path,
        class_names: Sequence[str],
        *,
        summary: RunSummary | None = None,
        challenge: str | None = None,
    ) -> None:
        if challenge is not None:
            check_choice("challenge", challenge, TABLES)
        if challenge is not None and set(TABLES[challenge][1:]) != set(class_names):
            raise ValueError(
                f"{challenge} has the classes {', '.join(TABLES[challenge][1:])}, got {list(class_names)}."
            )
        self.output_dir, self.class_names, self.challenge = Path(str(output_dir)), list(class_names), challenge
        self.summary = summary

    def attach(self, engine: Workflow) -> None:
        """Write the tables at the end of a run of ``engine``."""
        if self.summary is not None:
            self.summary.add_table(PREDICTIONS_TABLE, self.output_dir, engine)
        for event in (Events.COMPLETED, Events.TERMINATE):
            engine.add_event_handler(event, lambda evaluator: self._write(evaluator))

    def write_submission(self, cases: Iterable[Mapping[str, Any]]) -> None:
        """Write and check ``submission.csv``, if there is a challenge and a case with classes."""
        classified = [case for case in cases if "classes" in case]
        if self.challenge is not None and classified:
            self.output_dir.mkdir(parents=True, exist_ok=True)
            self._submit(self.output_dir / SUBMISSION, self.challenge, classified)

    def _write(self, evaluator: Any) -> None:
        if self.summary is None:
            cases = [record.to_json() for record in evaluator.records if record.is_completed]
            write_table(PREDICTIONS_TABLE, self.output_dir, cases)
            self.write_submission(cases)
        elif self.challenge is not None:
            self.write_submission(self.summary.results())

    def _submit(self, path: Path, challenge: str, records: Sequence[Mapping[str, Any]]) -> None:
        confidences = {
            record["case"]: {name: each["probability"] for name, each in record["classes"].items()}
            for record in records
        }
        write_confidences(confidences, path, challenge=challenge)
        problems = check_confidences(path, confidences, challenge=challenge)
        for problem in problems:
            logger.warning("%s: %s", path, problem)
        logger.info("submission to %s written to %s, %d problems", challenge, path, len(problems))
