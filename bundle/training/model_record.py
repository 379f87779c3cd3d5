"""The model folder that a training leaves: the settings that its weights need, next to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.engines import Evaluator

from bundle.workflow.frozen_config import freeze_ids
from bundle.workflow.model_folder import ModelFolder
from bundle.workflow.workflow_call import current_call

from .training_settings import TrainingSettings


class ModelRecord:
    """Write ``model.json`` next to the weights of a training, see :class:`bundle.workflow.model_folder.ModelFolder`.

    The values are those of the config that creates the object.

    Args:
        task: name of the task.
        output_dir: folder of the training.
        ids: ids of the config that belong to the weights; those that the config does not have are skipped.
        defaults: ids that a user of the model may set to other values.
        values: further defaults, by the id of another workflow.
        files: files that the model needs, by the id that names them.
        settings: settings of the training, which are recorded with its cases.
    """

    def __init__(
        self,
        task: str,
        output_dir: str | Path,
        ids: Sequence[str],
        *,
        defaults: Sequence[str] = (),
        values: Mapping[str, Any] | None = None,
        files: Mapping[str, str] | None = None,
        settings: TrainingSettings | None = None,
    ) -> None:
        self.task, self.folder, self.sources = task, Path(str(output_dir)), dict(files or {})
        self.described = {} if settings is None else settings.described
        parser = current_call().parser
        frozen = {} if parser is None else freeze_ids(parser, [*ids, *defaults])
        self.settings = {name: value for name, value in frozen.items() if name in ids}
        self.defaults = {name: value for name, value in frozen.items() if name not in ids} | dict(values or {})

    def write(self, epoch: int, evaluator: Evaluator | None = None) -> None:
        """Write the file for the weights that were written.

        Args:
            epoch: epoch of the weights.
            evaluator: evaluator of the validations, whose best metric is recorded.
        """
        training: dict[str, Any] = {"epoch": epoch, **self.described}
        if evaluator is not None and evaluator.state.best_metric_epoch == epoch:
            training["metric"] = {evaluator.state.key_metric_name: float(evaluator.state.best_metric)}
        files = {name: Path(source).name for name, source in self.sources.items()}
        ModelFolder(self.folder, self.task, self.settings, self.defaults, files, training).write(self.sources)
