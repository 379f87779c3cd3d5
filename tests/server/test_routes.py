"""Routes of this app come before those of MONAI Label and do not block the server."""

from __future__ import annotations

import inspect
import threading

from fastapi import APIRouter, FastAPI
from fastapi.testclient import TestClient
from monailabel.endpoints import batch_infer, scoring, train

from bundle.server.workarounds.routes import prepend_routes, to_threaded_routes


def test_prepended_routes_come_first() -> None:
    app, router = FastAPI(), APIRouter()

    @app.get("/x")
    def theirs() -> str:
        return "theirs"

    @router.get("/x")
    def ours() -> str:
        return "ours"

    prepend_routes(app, router)
    assert TestClient(app).get("/x").json() == "ours"


def test_routes_that_compute_run_in_threads() -> None:
    app, router = FastAPI(), APIRouter(prefix="/train")

    @app.get("/loop")
    async def loop() -> int:
        return threading.get_ident()

    @router.post("/{model}")
    async def run(model: str, params: dict[str, int] | None = None, run_sync: bool = False) -> list[object]:
        return [threading.get_ident(), model, params, run_sync]

    app.include_router(router)
    with TestClient(app) as client:
        before = client.post("/train/a?run_sync=true", json={"epochs": 2}).json()
        prepend_routes(app, to_threaded_routes(router))
        after = client.post("/train/a?run_sync=true", json={"epochs": 2}).json()
        assert before[0] == client.get("/loop").json() != after[0]
    assert before[1:] == after[1:] == ["a", {"epochs": 2}, True]
    assert len(app.openapi()["paths"]) == 2


def test_upstream_still_computes_in_the_event_loop() -> None:
    for endpoint in (train.api_run, train.api_run_model, scoring.api_run, scoring.api_run_method, batch_infer.api_run):
        assert inspect.iscoroutinefunction(endpoint)
        assert "await" not in inspect.getsource(endpoint)


def test_upstream_still_infers_in_the_event_loop() -> None:
    from monailabel.endpoints import infer

    assert inspect.iscoroutinefunction(infer.api_run_inference)
    assert "await" not in inspect.getsource(infer.api_run_inference)


def test_upstream_would_still_remove_the_shipped_weights() -> None:
    from monailabel.endpoints import model

    assert "shutil.move(file" in inspect.getsource(model.delete_model)
