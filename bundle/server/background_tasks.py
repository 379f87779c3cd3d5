"""Tasks that MONAI Label runs in processes of their own: what can be asked of them, and how they tell what is wrong."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from bundle.io.input_checks import BadInputError
from bundle.networks.weights import WeightsError

from .server_errors import RequestError, StudiesError
from .workflow_process import WorkflowError

logger = logging.getLogger(__name__)

TOLD = (RequestError, StudiesError, WorkflowError, BadInputError, WeightsError)
"""Errors whose message is all that a user needs."""

TASK_PROCESS = "monailabel.interfaces.utils.app"
"""The module that runs in these processes."""


def check_request(app: Any, method: str, request: Mapping[str, Any]) -> None:
    """Check a request for a training, a scoring or a batch before it is started.

    Args:
        app: the ``MONAILabelApp``.
        method: ``"train"``, ``"scoring"`` or ``"batch_infer"``.
        request: what the client asks for.

    Raises:
        RequestError: 404 when the model or method does not exist, 409 when there is nothing to work on, 400 for an
            option that cannot be used.
    """
    if method == "scoring":
        _find(app._scoring_methods, request.get("method"), "scoring method").check(request, app.datastore())
    elif method == "train":
        _find(app._trainers, request.get("model"), "model to train").check(request, app.datastore())
    else:
        _find(app._infers, request.get("model"), "model")
        if not app.datastore().list_images():
            raise RequestError(409, "the study folder holds no images.")


def _find(known: Mapping[str, Any], name: Any, what: str) -> Any:
    if name not in known:
        raise RequestError(404, f"there is no {what} {name!r}; there are: {', '.join(known) or 'none'}.")
    return known[name]


def tell_plainly() -> None:
    """Let a process that MONAI Label started for a task say which mistake of the user ended it, and no traceback."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    if spec is not None and spec.name == TASK_PROCESS:
        sys.excepthook = _tell


def _tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if isinstance(error, TOLD):
        logger.error("%s", error)
    else:
        sys.__excepthook__(kind, error, trace)
