"""Evaluator in which a case that fails does not end the run."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from ignite.engine import Events
from monai.engines import SupervisedEvaluator
from monai.engines.utils import IterationEvents
from monai.utils.enums import CommonKeys

from .case_record import RECORD, CaseRecord, record_of_batch
from .given_predictions import PREDICTION


class CaseEvaluator(SupervisedEvaluator):
    """MONAI's ``SupervisedEvaluator``, one case per batch, that continues after a case that fails.

    A case fails when it could not be loaded (see :class:`bundle.inference.CaseDataset`), or when the network, a
    postprocessing transform or the writing of its result raises. Its output is an empty list, which the metrics and
    handlers of this project skip, as is that of a case that an earlier run has completed.

    Postprocessing transforms find the :class:`bundle.inference.CaseRecord` of the case under ``"record"``. Its
    ``plan`` is the ``description`` of the inferer, and its ``findings`` are those of the inferer, if it has any.

    A case with a ``"prediction"`` (see :class:`bundle.inference.GivenPredictions`) passes neither the network nor the
    postprocessing: its ``"pred"`` is the output.

    When the run is interrupted, as by Ctrl-C, ``Events.TERMINATE`` is fired before the exception continues, so that
    handlers can save the completed cases.

    Args:
        args: as for ``SupervisedEvaluator``.
        postprocessing: transforms of a case after the network.
        kwargs: as for ``SupervisedEvaluator``.

    Attributes:
        records: records of the cases of the run, in order.
    """

    def __init__(self, *args: Any, postprocessing: Callable[..., Any] | None = None, **kwargs: Any) -> None:
        self.records: list[CaseRecord] = []
        if postprocessing is not None:
            kwargs["postprocessing"] = partial(self._postprocess, postprocessing)
        super().__init__(*args, **kwargs)
        self.add_event_handler(Events.STARTED, lambda _: self.records.clear())

    @property
    def failures(self) -> list[CaseRecord]:
        """Records of the failed cases."""
        return [record for record in self.records if record.status == "failed"]

    def run(self, global_epoch: int = 1) -> None:  # type: ignore[override]
        """Run over all cases; ``global_epoch`` counts the runs."""
        try:
            super().run(global_epoch)
        except BaseException:
            self.fire_event(Events.TERMINATE)
            raise

    def _iteration(self, engine: SupervisedEvaluator, batchdata: dict[str, Any]) -> Any:
        record = record_of_batch(batchdata)
        self.records.append(record)
        batchdata.pop(RECORD, None)
        if record.status == "loaded" and PREDICTION in batchdata:
            keys = [key for key in (CommonKeys.LABEL, CommonKeys.PRED) if key in batchdata]
            engine.state.output = {key: batchdata[key] for key in keys}
            engine.fire_event(IterationEvents.MODEL_COMPLETED)
            return engine.state.output
        if record.status == "loaded":
            if hasattr(self.inferer, "findings"):
                self.inferer.findings = None
            try:
                return super()._iteration(engine, batchdata)
            except Exception as error:
                record.findings = getattr(self.inferer, "findings", None)
                record.fail(error)
        record.settle()
        engine.state.batch = []
        return []

    def _postprocess(self, postprocessing: Callable[..., Any], data: dict[str, Any]) -> Any:
        if PREDICTION in data:
            return data
        record = self.records[-1]
        record.plan = getattr(self.inferer, "description", None)
        record.findings = getattr(self.inferer, "findings", None)
        return postprocessing({**data, RECORD: record})
