"""Evaluator in which one bad case does not end the run."""

from __future__ import annotations

from typing import Any

from ignite.engine import Events
from monai.engines import SupervisedEvaluator

from .failures import FAILURE, record_failure
from .resume import DONE


class CaseEvaluator(SupervisedEvaluator):
    """MONAI's ``SupervisedEvaluator``, one case a batch, that records failures and goes on.

    A case fails when its batch is the record of a failure (see :mod:`bundle.inference.case_dataset`), or when the
    network, a transform behind it, or the writing of its result raises. Its output is an empty list, which the metrics
    and handlers of this project pass over. The records are kept as ``failures``. The output of a case that an earlier
    run has done is its record.

    When the run is cut off, as by Ctrl-C, ``Events.TERMINATE`` is fired before the exception goes on, so that handlers
    can save what is done.

    Args:
        args: as for ``SupervisedEvaluator``.
        kwargs: as for ``SupervisedEvaluator``.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.failures: list[dict[str, str]] = []
        super().__init__(*args, **kwargs)
        self.add_event_handler(Events.STARTED, lambda _: self.failures.clear())

    def run(self, global_epoch: int = 1) -> None:  # type: ignore[override]
        """Run over all cases, as number ``global_epoch`` of the runs that there are."""
        try:
            super().run(global_epoch)
        except BaseException:
            self.fire_event(Events.TERMINATE)
            raise

    def _iteration(self, engine: SupervisedEvaluator, batchdata: dict[str, Any]) -> Any:
        if FAILURE in batchdata:
            self.failures.append(batchdata[FAILURE])
            engine.state.batch = []
            return []
        if DONE in batchdata:
            engine.state.batch = []
            return [{"result": batchdata[DONE]}]
        case = {
            "case": batchdata.get("case", ["?"])[0],
            "image": batchdata["image"].meta.get("filename_or_obj", [""])[0],
        }
        try:
            return super()._iteration(engine, batchdata)
        except Exception as error:
            self.failures.append(record_failure(case, error))
            engine.state.batch = []
            return []
