"""The config of the inference of a shipped model or of a model folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

from bundle.runtime.model_format import CLASSES, DISCS, MASKS, VOLUMES
from bundle.utils.errors import BundleError
from bundle.workflow.model_folder import ModelFolder
from bundle.workflow.model_settings import use_model

NAMES = (VOLUMES, DISCS, *MASKS, CLASSES)
"""Names of the tasks."""


class ExportError(BundleError):
    """A model that cannot be exported; the message says why."""


def open_workflow(model: str, root: str | Path, options: Mapping[str, Any]) -> tuple[str, ConfigParser]:
    """Return the name of the task and the config of the inference of a shipped model or of a model folder.

    Args:
        model: ``"volumes"``, the name of a folder in ``configs/``, or a folder that a training has written.
        root: bundle root.
        options: values of ids of the config.

    Raises:
        ExportError: if there is no such model.
        ModelFolderError: if the folder cannot be used.
    """
    folder = ModelFolder.read(model) if Path(model).is_dir() else None
    name = folder.task if folder is not None else model
    file = Path(root, "configs", "" if name == VOLUMES else name, "inference.json")
    if name not in NAMES or not file.is_file():
        raise ExportError(f"{model!r} is neither a model folder nor one of {', '.join(NAMES)}.")
    parser = ConfigParser()
    parser.read_config(str(file))
    parser.update({"bundle_root": str(root), **options})
    if folder is not None:
        use_model(parser, folder)
    return name, parser
