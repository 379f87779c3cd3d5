"""monailabel 0.8.5: without an image left to label, the server returns ``{}`` without a reason.

Clients expect a response without ``id`` then, so the reason is added as ``message``. MONAI Label also responds to an
unknown strategy with 500, and to nobody else while a strategy computes, see :mod:`.routes`.
"""

from __future__ import annotations

import threading
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends
from monailabel.config import settings
from monailabel.endpoints import activelearning
from monailabel.endpoints.user.auth import RBAC, User
from monailabel.interfaces.utils.app import app_instance

from bundle.server.server_errors import RequestError

_LOCK = threading.Lock()
"""Held until a selected image is reserved for its annotator, so that no other request selects it."""

router = APIRouter(tags=["ActiveLearning"])


@router.post("/activelearning/{strategy}", summary="Choose the next image to label")
def next_sample(
    strategy: str,
    params: Annotated[dict[str, Any] | None, Body()] = None,
    user: User = Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_USER)),  # noqa: B008 - FastAPI's way
) -> dict[str, Any]:
    """Return the next image, or a dictionary with a ``message``, in a thread.

    Raises:
        RequestError: 404 for an unknown strategy.
    """
    app = app_instance()
    if strategy not in app._strategies:
        raise RequestError(404, f"unknown strategy {strategy!r}; available: {', '.join(app._strategies)}.")
    with _LOCK:
        sample: dict[str, Any] = activelearning.sample(strategy, params, user.username)
    count = len(app.datastore().list_images())
    reason = f"all {count} images have a final label" if count else "the study folder contains no images"
    return sample or {"message": reason}
