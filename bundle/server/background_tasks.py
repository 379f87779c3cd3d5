"""Checks of requests for background tasks, which MONAI Label runs in separate processes, and their errors."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from bundle.utils.errors import BundleError

from .server_errors import RequestError
from .workflow_process import WorkflowError

logger = logging.getLogger(__name__)

USER_ERRORS = (BundleError, WorkflowError)
"""Errors whose message is enough for a user; they are logged without a traceback."""

TASK_PROCESS = "monailabel.interfaces.utils.app"
"""Main module of these processes."""


def check_request(app: Any, method: str, request: Mapping[str, Any]) -> None:
    """Check a request for training, scoring or batch inference before the task starts.

    Args:
        app: the ``MONAILabelApp``.
        method: ``"train"``, ``"scoring"`` or ``"batch_infer"``.
        request: the request.

    Raises:
        RequestError: 404 for an unknown model or method, 409 when there are no images or labels to work on, 400 for an
            invalid option.
    """
    if method == "scoring":
        _find(app._scoring_methods, request.get("method"), "scoring method").check(request, app.datastore())
    elif method == "train":
        _find(app._trainers, request.get("model"), "model for training").check(request, app.datastore())
    else:
        _find(app._infers, request.get("model"), "model")
        if not app.datastore().list_images():
            raise RequestError(409, "the study folder contains no images; add some.")


def _find(available: Mapping[str, Any], name: Any, what: str) -> Any:
    if name not in available:
        raise RequestError(404, f"unknown {what} {name!r}; available: {', '.join(available) or 'none'}.")
    return available[name]


def install_error_hook() -> None:
    """In a process that MONAI Label started for a task, log errors of the user as one line without a traceback."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    if spec is not None and spec.name == TASK_PROCESS:
        sys.excepthook = _log_exception


def _log_exception(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if isinstance(error, USER_ERRORS):
        logger.error("%s", error)
    else:
        sys.__excepthook__(kind, error, trace)
