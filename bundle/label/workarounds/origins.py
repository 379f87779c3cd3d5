"""Which web pages may read what the server answers.

For MONAI Label 0.8.5, which lets every page do so that the user has open in a browser, patients' images included, and
whose setting for this, ``MONAI_LABEL_CORS_ORIGINS``, ends ``start_server`` with a ``TypeError``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

VARIABLE = "KEYSLICE_LABEL_ORIGINS"
"""Environment variable: further pages that may read answers, such as ``http://viewer.local:3000``, with commas."""


def allowed(port: int, environment: Mapping[str, str] = os.environ) -> list[str]:
    """Return the origins that may read answers: the pages of this server itself, and those of :data:`VARIABLE`."""
    further = [origin.strip().rstrip("/") for origin in environment.get(VARIABLE, "").split(",")]
    return [f"http://127.0.0.1:{port}", f"http://localhost:{port}", *filter(None, further)]


def restrict_origins(app: FastAPI, origins: list[str]) -> None:
    """Let only pages of these origins read what the app answers."""
    for middleware in app.user_middleware:
        if middleware.cls is CORSMiddleware:
            middleware.kwargs["allow_origins"] = origins
