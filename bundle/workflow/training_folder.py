"""Protection of the trainings in a folder."""

from __future__ import annotations

import os
from pathlib import Path

from bundle.utils.errors import BundleError

from .model_folder import MODEL, WEIGHTS

STATE = "last.pt"
"""File of the complete state of a training."""

FILES = (STATE, WEIGHTS, MODEL)
"""What a training writes that another one would replace."""


class TrainingFolderError(BundleError):
    """A folder that holds a training, which a further one would replace."""


def require_no_training(folder: Path) -> None:
    """Check that a folder holds no training.

    Raises:
        TrainingFolderError: if it does.
    """
    found = [name for name in FILES if (folder / name).is_file()]
    if found and _is_first_process():
        raise TrainingFolderError(
            f"output_dir {folder} holds a training already ({', '.join(found)}): pass --resume true to continue it, "
            "--overwrite true to replace it, or another --output_dir."
        )


def clear_training(folder: Path) -> None:
    """Delete the files of the training in a folder."""
    if _is_first_process():
        for name in FILES:
            (folder / name).unlink(missing_ok=True)


def _is_first_process() -> bool:
    """Return whether this is the only process of a training, or the first: the others may come when it has begun."""
    return os.environ.get("RANK", "0") == "0"
