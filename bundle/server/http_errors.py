"""What the server answers when something goes wrong: a status and a sentence, as ``{"detail": ...}``."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from monailabel.interfaces.exception import (
    ImageNotFoundException,
    LabelNotFoundException,
    MONAILabelError,
    MONAILabelException,
)

from bundle.data.datalist_error import DatalistError
from bundle.io.input_checks import BadInputError
from bundle.utils.errors import BundleError

from .server_errors import RequestError, StudiesError

logger = logging.getLogger(__name__)

NOT_THERE = (MONAILabelError.INVALID_INPUT, MONAILabelError.APP_INIT_ERROR)
"""What MONAI Label says of a model, strategy or method that it does not have."""


def status_of(error: Exception) -> int:
    """Return the HTTP status for an error: 400 for a bad value, 404 for what is not there, 500 for a fault here."""
    if isinstance(error, RequestError):
        return error.status
    if isinstance(error, ImageNotFoundException | LabelNotFoundException):
        return 404
    if isinstance(error, MONAILabelException):
        return 404 if error.error in NOT_THERE else 500
    if isinstance(error, json.JSONDecodeError | BadInputError | DatalistError | StudiesError):
        return 400
    return 500


def message_of(error: Exception) -> str:
    """Return the sentence for an error."""
    if isinstance(error, MONAILabelException):
        return str(error.msg)
    if isinstance(error, json.JSONDecodeError):
        return f"params is not JSON: {error}"
    if isinstance(error, RequestError | BundleError):
        return str(error)
    return f"{type(error).__name__}: {error}; the log of the server tells where."


def answer_failures(app: FastAPI) -> None:
    """Make an app answer every error with a status and a sentence."""
    handler: Callable[[Request, Exception], Awaitable[JSONResponse]] = _answer
    for kind in (RequestError, MONAILabelException, json.JSONDecodeError, ValueError, Exception):
        app.add_exception_handler(kind, handler)


async def _answer(request: Request, error: Exception) -> JSONResponse:
    status, message = status_of(error), message_of(error)
    if status < 500:
        logger.info("%s %s: %d %s", request.method, request.url.path, status, message)
    else:
        logger.error("%s %s: %d %s", request.method, request.url.path, status, message, exc_info=error)
    return JSONResponse({"detail": message}, status_code=status)
