"""monailabel 0.8.5: any web page that is open in the user's browser can read the responses, patient images included.

The setting ``MONAI_LABEL_CORS_ORIGINS``, which should restrict this, ends ``start_server`` with a ``TypeError``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from fastapi import FastAPI, Request, Response
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse
from starlette.middleware.base import RequestResponseEndpoint

ORIGINS_VARIABLE = "KEYSLICE_LABEL_ORIGINS"
"""Environment variable with further allowed origins, separated by commas, such as ``http://viewer.local:3000``."""


def get_allowed_origins(port: int, environment: Mapping[str, str] = os.environ) -> list[str]:
    """Return the allowed origins: those of this server and of :data:`ORIGINS_VARIABLE`."""
    further = [origin.strip().rstrip("/") for origin in environment.get(ORIGINS_VARIABLE, "").split(",")]
    return [f"http://127.0.0.1:{port}", f"http://localhost:{port}", *filter(None, further)]


def restrict_origins(app: FastAPI, origins: list[str]) -> None:
    """Refuse requests from pages of other origins.

    CORS alone does not suffice: a browser hides a response from a foreign page but sends its simple requests, which
    could replace a label.
    """
    for middleware in app.user_middleware:
        if middleware.cls is CORSMiddleware:
            middleware.kwargs["allow_origins"] = origins

    @app.middleware("http")
    async def refuse_other_origins(request: Request, call_next: RequestResponseEndpoint) -> Response:
        origin = request.headers.get("origin")
        if origin and origin not in origins:
            return JSONResponse({"detail": f"origin {origin} is not allowed; add it to {ORIGINS_VARIABLE}."}, 403)
        return await call_next(request)
