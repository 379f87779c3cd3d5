"""monailabel 0.8.5: asked for the next image to label where there is none, the server answers ``{}`` and not why.

An answer without ``id`` is what clients take for "none left", so that it stays one; the reason is put into it. A
strategy that does not exist is answered with 500. While a strategy computes, the server answers nobody else, see
:mod:`.routes`.
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

_ONE_AT_A_TIME = threading.Lock()
"""An image is reserved for an annotator when the strategy has chosen it; another must not choose in between."""

router = APIRouter(tags=["ActiveLearning"])


@router.post("/activelearning/{strategy}", summary="Choose the next image to label")
def next_sample(
    strategy: str,
    params: Annotated[dict[str, Any] | None, Body()] = None,
    user: User = Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_USER)),  # noqa: B008 - FastAPI's way
) -> dict[str, Any]:
    """Return the next image, or a dictionary with a ``message``, in a thread.

    Raises:
        RequestError: 404 when there is no such strategy.
    """
    app = app_instance()
    if strategy not in app._strategies:
        raise RequestError(404, f"there is no strategy {strategy!r}; there are: {', '.join(app._strategies)}.")
    with _ONE_AT_A_TIME:
        found: dict[str, Any] = activelearning.sample(strategy, params, user.username)
    count = len(app.datastore().list_images())
    nothing = f"all {count} images have a final label: nothing is left to label" if count else "there are no images"
    return found or {"message": nothing}
