"""Routes of the server that this app answers itself, in front of MONAI Label's.

For MONAI Label 0.8.5, whose routes are coroutines that compute without ever waiting: while one infers, the server
answers nobody else, not even ``GET /info/``. A route that is a plain function runs in a thread.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute


def put_in_front(app: FastAPI, router: APIRouter) -> None:
    """Include a router so that its routes come before those that the app has."""
    app.include_router(router)
    app.router.routes.insert(0, app.router.routes.pop())


def in_threads(*routers: APIRouter) -> APIRouter:
    """Return a router whose routes are the ``POST`` of others, coroutines that never wait, as plain functions."""
    found = APIRouter()
    for route in (route for router in routers for route in router.routes):
        if isinstance(route, APIRoute) and "POST" in (route.methods or ()):
            found.add_api_route(route.path, _in_thread(route.endpoint), methods=["POST"], include_in_schema=False)
    return found


def _in_thread(endpoint: Callable[..., Any]) -> Callable[..., Any]:
    def run(**values: Any) -> Any:
        return asyncio.run(endpoint(**values))

    run.__signature__ = inspect.signature(endpoint)  # type: ignore[attr-defined]
    return run
