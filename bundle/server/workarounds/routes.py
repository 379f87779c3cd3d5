"""monailabel 0.8.5: while a route computes, the server responds to no other request, not even ``GET /info/``.

Its routes are coroutines that never wait. Routes that are plain functions, which FastAPI runs in threads, replace them.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute


def prepend_routes(app: FastAPI, router: APIRouter) -> None:
    """Include a router before the existing routes of an app."""
    app.include_router(router)
    app.router.routes.insert(0, app.router.routes.pop())


def to_threaded_routes(*routers: APIRouter) -> APIRouter:
    """Return a router with the ``POST`` routes of others as plain functions."""
    threaded = APIRouter()
    for route in (route for router in routers for route in router.routes):
        if isinstance(route, APIRoute) and "POST" in (route.methods or ()):
            threaded.add_api_route(route.path, _to_function(route.endpoint), methods=["POST"], include_in_schema=False)
    return threaded


def _to_function(endpoint: Callable[..., Any]) -> Callable[..., Any]:
    def run(**values: Any) -> Any:
        return asyncio.run(endpoint(**values))

    run.__signature__ = inspect.signature(endpoint)  # type: ignore[attr-defined]
    return run
