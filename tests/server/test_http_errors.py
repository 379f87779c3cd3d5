"""Every error becomes a status and a message."""

from __future__ import annotations

import json

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from monailabel.interfaces.exception import (
    ImageNotFoundException,
    LabelNotFoundException,
    MONAILabelError,
    MONAILabelException,
)

from bundle.data import DatalistError
from bundle.io import BadInputError
from bundle.networks import WeightsError
from bundle.server.http_errors import add_error_handlers
from bundle.server.server_errors import RequestError, StudiesError

ERRORS = {
    "request": (RequestError(409, "busy; wait"), 409, "busy; wait"),
    "image": (ImageNotFoundException("Image x not found"), 404, "Image x not found"),
    "label": (LabelNotFoundException("Label x not found"), 404, "Label x not found"),
    "model": (MONAILabelException(MONAILabelError.INVALID_INPUT, "no model"), 404, "no model"),
    "fault": (MONAILabelException(MONAILabelError.SERVER_ERROR, "broken"), 500, "broken"),
    "json": (json.JSONDecodeError("no value", "{", 1), 400, "params is not JSON: no value"),
    "input": (BadInputError("a.nii", "is empty", "copy it again"), 400, "a.nii: is empty; copy it again."),
    "list": (DatalistError("no image"), 400, "no image"),
    "studies": (StudiesError("no folder"), 400, "no folder"),
    "weights": (WeightsError("do not fit"), 500, "do not fit"),
    "value": (ValueError("odd"), 500, "ValueError: odd; the server's log contains the traceback."),
    "other": (ZeroDivisionError("x"), 500, "ZeroDivisionError: x; the server's log contains the traceback."),
}


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_becomes_a_status_and_a_message(name: str) -> None:
    error, status, message = ERRORS[name]
    app = FastAPI()
    add_error_handlers(app)

    @app.get("/")
    def fail() -> None:
        raise error

    answer = TestClient(app, raise_server_exceptions=False).get("/")
    assert (answer.status_code, message in answer.json()["detail"]) == (status, True), answer.text
