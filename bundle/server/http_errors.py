"""Responses for errors: an HTTP status and a message, ``{"detail": ...}``."""

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

from bundle.networks.weights import WeightsError
from bundle.utils.errors import BundleError

from .server_errors import RequestError

logger = logging.getLogger(__name__)

NOT_FOUND_ERRORS = (MONAILabelError.INVALID_INPUT, MONAILabelError.APP_INIT_ERROR)
"""Error codes of MONAI Label for an unknown model, strategy or method."""


def get_status(error: Exception) -> int:
    """Return the HTTP status of an error: 400 for an invalid value, 404 for an unknown name, 500 for a server error."""
    if isinstance(error, RequestError):
        return error.status
    if isinstance(error, ImageNotFoundException | LabelNotFoundException):
        return 404
    if isinstance(error, MONAILabelException):
        return 404 if error.error in NOT_FOUND_ERRORS else 500
    is_mistake = isinstance(error, json.JSONDecodeError | BundleError) and not isinstance(error, WeightsError)
    return 400 if is_mistake else 500


def get_message(error: Exception) -> str:
    """Return the message for an error."""
    if isinstance(error, MONAILabelException):
        return str(error.msg)
    if isinstance(error, json.JSONDecodeError):
        return f"params is not JSON: {error}"
    if isinstance(error, BundleError):
        return str(error)
    return f"{type(error).__name__}: {error}; the server's log contains the traceback."


def add_error_handlers(app: FastAPI) -> None:
    """Let an app respond to every error with a status and a message."""
    handler: Callable[[Request, Exception], Awaitable[JSONResponse]] = _respond
    for kind in (MONAILabelException, ValueError, Exception):
        app.add_exception_handler(kind, handler)


async def _respond(request: Request, error: Exception) -> JSONResponse:
    status, message = get_status(error), get_message(error)
    if status < 500:
        logger.info("%s %s: %d %s", request.method, request.url.path, status, message)
    else:
        logger.error("%s %s: %d %s", request.method, request.url.path, status, message, exc_info=error)
    return JSONResponse({"detail": message}, status_code=status)
