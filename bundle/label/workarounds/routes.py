"""Routes of the server that this app answers itself, in front of MONAI Label's.

For MONAI Label 0.8.5, whose routes are coroutines that compute without ever waiting: while one infers, the server
answers nobody else, not even ``GET /info/``. A route that is a plain function runs in a thread.
"""

from __future__ import annotations

from fastapi import APIRouter, FastAPI


def put_in_front(app: FastAPI, router: APIRouter) -> None:
    """Include a router so that its routes come before those that the app has."""
    app.include_router(router)
    app.router.routes.insert(0, app.router.routes.pop())
