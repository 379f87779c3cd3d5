"""Routes of this app come before those of MONAI Label and do not hold up the server."""

from __future__ import annotations

import inspect

from fastapi import APIRouter, FastAPI
from fastapi.testclient import TestClient

from bundle.label.workarounds.routes import put_in_front


def test_routes_that_are_put_in_front_answer_first() -> None:
    app, router = FastAPI(), APIRouter()

    @app.get("/x")
    def theirs() -> str:
        return "theirs"

    @router.get("/x")
    def ours() -> str:
        return "ours"

    put_in_front(app, router)
    assert TestClient(app).get("/x").json() == "ours"


def test_upstream_still_infers_in_the_event_loop() -> None:
    from monailabel.endpoints import infer

    assert inspect.iscoroutinefunction(infer.api_run_inference)
    assert "await" not in inspect.getsource(infer.api_run_inference)


def test_upstream_would_still_remove_the_shipped_weights() -> None:
    from monailabel.endpoints import model

    assert "shutil.move(file" in inspect.getsource(model.delete_model)
