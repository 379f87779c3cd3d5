"""Records of cases that failed, as plain dictionaries that cross processes and end up in ``summary.json``."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bundle.io.volume_files import files_of
from bundle.utils.errors import FileError

logger = logging.getLogger(__name__)

FAILURE = "failure"
"""Key under which a batch carries the record of a failed case."""


def record_failure(case: Mapping[str, Any], error: BaseException) -> dict[str, str]:
    """Describe a failed case by its name, its file, and the error at the root of the chain; log it."""
    while error.__cause__ is not None and not isinstance(error, FileError):
        error = error.__cause__
    file = ", ".join(files_of(case.get("image", "")))
    name = str(case.get("case", Path(file).name))
    message = str(error) if isinstance(error, FileError) else f"{file}: {type(error).__name__}: {error}"
    logger.error("case %s is left out: %s: %s", name, type(error).__name__, message)
    return {"case": name, "file": file, "error": type(error).__name__, "message": message}
