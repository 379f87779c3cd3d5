"""The first step of every workflow: checks that need no data, and the settings of a model folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from monai.bundle import ConfigParser

from bundle.utils.mistakes import report_mistakes
from bundle.utils.parse_bool import parse_bool
from bundle.utils.path_options import check_path_options

from .model_folder import ModelFolder
from .model_settings import use_model
from .option_names import check_option_names
from .option_values import check_option_values
from .training_folder import clear_training, require_no_training
from .workflow_call import WorkflowCall, current_call


class Names(Protocol):
    """What compares names in a config with those of a dataset."""

    def use(self, parser: ConfigParser, options: Mapping[str, Any] | None = None) -> None:
        """Set or check the names."""


class StartWorkflow:
    """Check the options of a workflow, and put the settings of a model folder into its config.

    It is the first item of ``initialize``, so that nothing has been loaded or written before. In the command
    ``monai.bundle``, a mistake of the user, from here to the end of the workflow, ends the process with one line and
    status 2, see :mod:`bundle.utils.mistakes`.

    Args:
        task: name of the task, which a model folder must be of.
        model: folder that a training has written; None for the weights and settings of the config.
        training_dir: folder that a training will write to; None for another workflow.
        resume: continue the training in ``training_dir``.
        overwrite: replace the training in ``training_dir``.
        names: compares the names of structures with those of the dataset, see :class:`bundle.data.DatasetNames`.

    Raises:
        BundleError: for an option that does not exist or has a word for a number, a model folder that cannot be used or
            does not agree with the options, or a training in ``training_dir``.
    """

    def __init__(
        self,
        task: str,
        *,
        model: str | Path | None = None,
        training_dir: str | Path | None = None,
        resume: bool | str = False,
        overwrite: bool | str = False,
        names: Names | None = None,
    ) -> None:
        report_mistakes()
        call = current_call()
        check_option_names(call.options, call.config_files)
        check_option_values(call.options, call.config_files)
        if model is not None:
            _use_folder(call, model, task)
        if names is not None and call.parser is not None:
            names.use(
                call.parser, call.options if model is None else {**call.options, **ModelFolder.read(model).settings}
            )
        is_training = training_dir is not None and call.run_id == "run"
        if is_training and not parse_bool("resume", resume):
            _prepare_folder(Path(str(training_dir)), overwrite=parse_bool("overwrite", overwrite))


def _use_folder(call: WorkflowCall, model: str | Path, task: str) -> None:
    check_path_options(model=model)
    folder = ModelFolder.read(model, task=task)
    if call.parser is not None:
        use_model(call.parser, folder, call.options)


def _prepare_folder(folder: Path, *, overwrite: bool) -> None:
    (clear_training if overwrite else require_no_training)(folder)
