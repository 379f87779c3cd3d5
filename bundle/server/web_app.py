"""The web application that the server runs: MONAI Label's, with the inference and the errors of this app."""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, BackgroundTasks, Depends, File, Form, UploadFile
from monailabel.app import app
from monailabel.config import settings
from monailabel.endpoints import batch_infer, scoring, train
from monailabel.endpoints.infer import ResultType, send_response
from monailabel.endpoints.user.auth import RBAC, User
from monailabel.interfaces.utils.app import app_instance

from bundle.networks.weights import WeightsError

from .bundle_run import load_network
from .http_errors import answer_failures
from .server_errors import RequestError
from .uploads import upload_name
from .workarounds import next_sample
from .workarounds.origins import allowed, restrict_origins
from .workarounds.routes import in_threads, put_in_front

__all__ = ["app"]

logger = logging.getLogger(__name__)

RESERVED = ("image", "model", "session", "session_id", "file")
"""What ``params`` may not set, as the request itself does."""

router = APIRouter(tags=["Infer"])


@router.post("/infer/{model}", summary="Run a model on an image of the studies, of a session, or on an uploaded file")
def run_inference(
    background_tasks: BackgroundTasks,
    model: str,
    image: str = "",
    session_id: str = "",
    params: Annotated[str, Form()] = "{}",
    file: Annotated[UploadFile | None, File()] = None,
    output: ResultType | None = None,
    user: User = Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_USER)),  # noqa: B008 - FastAPI's way
) -> Any:
    """Answer ``POST /infer/{model}``, in a thread."""
    instance = app_instance()
    if output == ResultType.dicom_seg:
        raise RequestError(400, "output: dicom_seg is for servers of DICOMweb; this one serves a folder.")
    request = {**_options(params), "model": model}
    if file is None:
        result = instance.infer({**request, "image": _named(instance, image, session_id)})
    else:
        instance.uploads.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=instance.uploads))
        try:
            upload = folder / upload_name(file.filename, instance.kind)
            with open(upload, "wb") as stream:
                shutil.copyfileobj(file.file, stream)
            result = instance.infer({**request, "image": str(upload)})
        except RequestError as error:
            raise RequestError(error.status, error.message.replace(f"{folder}/", "")) from error
        finally:
            shutil.rmtree(folder)
    if output == ResultType.image and not result["file"]:
        raise RequestError(400, f"model {model!r} makes no image; ask for output=json.")
    return send_response(instance.datastore(), result, output, background_tasks)


@router.put("/model/{model}", summary="Serve other weights")
def replace_weights(
    model: str,
    file: Annotated[UploadFile, File()],
    user: User = Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_ADMIN)),  # noqa: B008 - FastAPI's way
) -> dict[str, Any]:
    """Answer ``PUT /model/{model}``; the weights must fit, and the shipped ones stay as they are."""
    instance = app_instance()
    task = instance.task(model)
    task.work.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=task.work, suffix=".pt") as upload:
        shutil.copyfileobj(file.file, upload)
        upload.flush()
        try:
            load_network(task, upload.name)
        except WeightsError as error:
            raise RequestError(400, str(error).replace(upload.name, str(file.filename))) from error
        shutil.copyfile(upload.name, f"{upload.name}.whole")
    os.replace(f"{upload.name}.whole", task.weights)
    return dict(instance.model_info(model))


@router.delete("/model/{model}", summary="Go back to the shipped weights")
def remove_weights(
    model: str,
    user: User = Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_ADMIN)),  # noqa: B008 - FastAPI's way
) -> dict[str, Any]:
    """Answer ``DELETE /model/{model}``; weights that were trained or uploaded are kept aside, the shipped ones stay."""
    task = app_instance().task(model)
    if not task.weights.is_file():
        raise RequestError(409, f"{model} is served with the weights of the bundle, which are not removed.")
    aside = task.weights.with_name(f"removed_{datetime.now(UTC):%Y%m%d_%H%M%S_%f}.pt")
    os.replace(task.weights, aside)
    return {"removed": aside.name}


def _options(params: str) -> dict[str, Any]:
    options = json.loads(params or "{}")
    if not isinstance(options, dict):
        raise RequestError(400, f"params: must be a JSON object, got {params!r}.")
    reserved = [name for name in RESERVED if name in options]
    if reserved:
        raise RequestError(400, f"params: {', '.join(reserved)} belongs into the request, not into params.")
    return options


def _named(instance: Any, image: str, session_id: str) -> str:
    """Return the image that a request without an upload names."""
    if not session_id:
        if not image:
            raise RequestError(400, "no image is named; pass image, session_id or a file.")
        return image
    session = instance.sessions().get_session(session_id)
    if session is None:
        raise RequestError(404, f"session {session_id!r} is not there, or has expired; create one anew.")
    return str(session.image)


put_in_front(app, in_threads(train.router, scoring.router, batch_infer.router))
put_in_front(app, router)
put_in_front(app, next_sample.router)
answer_failures(app)
restrict_origins(app, allowed(settings.MONAI_LABEL_SERVER_PORT))
