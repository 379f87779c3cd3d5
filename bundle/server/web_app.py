"""The web application: MONAI Label's, with other routes for inference and weights, and with error responses."""

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
from bundle.utils.atomic_write import atomic_copy

from .bundle_run import load_network
from .http_errors import add_error_handlers
from .server_errors import RequestError
from .uploads import get_upload_name
from .workarounds import next_sample
from .workarounds.origins import get_allowed_origins, restrict_origins
from .workarounds.routes import prepend_routes, to_threaded_routes

__all__ = ["app"]

logger = logging.getLogger(__name__)

RESERVED_KEYS = ("image", "model", "session", "session_id", "file")
"""Keys of the request that ``params`` must not contain."""

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
    """Run the inference for ``POST /infer/{model}``, in a thread."""
    instance = app_instance()
    if output == ResultType.dicom_seg:
        raise RequestError(
            400, "output: dicom_seg needs a DICOMweb server, and this one serves a folder; choose another output."
        )
    request = {**_parse_params(params), "model": model}
    if file is None:
        result = instance.infer({**request, "image": _get_image(instance, image, session_id)})
    else:
        instance.uploads.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=instance.uploads))
        try:
            upload = folder / get_upload_name(file.filename, instance.kind)
            with open(upload, "wb") as stream:
                shutil.copyfileobj(file.file, stream)
            result = instance.infer({**request, "image": str(upload)})
        except RequestError as error:
            raise RequestError(error.status, error.message.replace(f"{folder}/", "")) from error
        finally:
            shutil.rmtree(folder)
    if output == ResultType.image and not result["file"]:
        raise RequestError(400, f"model {model!r} returns no image; use output=json.")
    return send_response(instance.datastore(), result, output, background_tasks)


@router.put("/model/{model}", summary="Serve other weights")
def replace_weights(
    model: str,
    file: Annotated[UploadFile, File()],
    user: User = Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_ADMIN)),  # noqa: B008 - FastAPI's way
) -> dict[str, Any]:
    """Replace the weights, if they fit the network, for ``PUT /model/{model}``; the shipped ones stay."""
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
        atomic_copy(Path(upload.name), task.trained_weights)
    return dict(instance.model_info(model))


@router.delete("/model/{model}", summary="Restore the shipped weights")
def remove_weights(
    model: str,
    user: User = Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_ADMIN)),  # noqa: B008 - FastAPI's way
) -> dict[str, Any]:
    """Restore the shipped weights for ``DELETE /model/{model}``; the trained or uploaded ones are renamed."""
    task = app_instance().task(model)
    if not task.trained_weights.is_file():
        raise RequestError(409, f"{model} uses the weights of the bundle, which cannot be removed.")
    renamed = task.trained_weights.with_name(f"removed_{datetime.now(UTC):%Y%m%d_%H%M%S_%f}.pt")
    os.replace(task.trained_weights, renamed)
    return {"removed": renamed.name}


def _parse_params(params: str) -> dict[str, Any]:
    options = json.loads(params or "{}")
    if not isinstance(options, dict):
        raise RequestError(400, f"params: must be a JSON object, got {params!r}.")
    reserved = [name for name in RESERVED_KEYS if name in options]
    if reserved:
        raise RequestError(400, f"params: must not contain {', '.join(reserved)}; set it in the request itself.")
    return options


def _get_image(instance: Any, image: str, session_id: str) -> str:
    """Return the image of a request without an upload."""
    if not session_id:
        if not image:
            raise RequestError(400, "no image given; pass image, session_id or a file.")
        return image
    session = instance.sessions().get_session(session_id)
    if session is None:
        raise RequestError(404, f"session {session_id!r} does not exist or has expired; create a new one.")
    return str(session.image)


prepend_routes(app, to_threaded_routes(train.router, scoring.router, batch_infer.router))
prepend_routes(app, router)
prepend_routes(app, next_sample.router)
add_error_handlers(app)
restrict_origins(app, get_allowed_origins(settings.MONAI_LABEL_SERVER_PORT))
