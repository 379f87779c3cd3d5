"""Which web pages may read what the server answers.

For MONAI Label 0.8.5, which lets every page do so that the user has open in a browser, patients' images included, and
whose setting for this, ``MONAI_LABEL_CORS_ORIGINS``, ends ``start_server`` with a ``TypeError``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from fastapi import FastAPI, Request, Response
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse
from starlette.middleware.base import RequestResponseEndpoint

VARIABLE = "KEYSLICE_LABEL_ORIGINS"
"""Environment variable: further pages that may read answers, such as ``http://viewer.local:3000``, with commas."""


def allowed(port: int, environment: Mapping[str, str] = os.environ) -> list[str]:
    """Return the origins that may read answers: the pages of this server itself, and those of :data:`VARIABLE`."""
    further = [origin.strip().rstrip("/") for origin in environment.get(VARIABLE, "").split(",")]
    return [f"http://127.0.0.1:{port}", f"http://localhost:{port}", *filter(None, further)]


def restrict_origins(app: FastAPI, origins: list[str]) -> None:
    """Let only pages of these origins read what the app answers, and ask it for anything.

    A browser hides an answer from a foreign page, but sends its simple requests, which could replace a label.
    """
    for middleware in app.user_middleware:
        if middleware.cls is CORSMiddleware:
            middleware.kwargs["allow_origins"] = origins

    @app.middleware("http")
    async def refuse_foreign_pages(request: Request, call_next: RequestResponseEndpoint) -> Response:
        origin = request.headers.get("origin")
        if origin and origin not in origins:
            return JSONResponse({"detail": f"pages of {origin} may not use this server; see {VARIABLE}."}, 403)
        return await call_next(request)
