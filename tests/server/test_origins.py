"""Web pages of other origins cannot use the server."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.testclient import TestClient

from bundle.server.workarounds.origins import ORIGINS_VARIABLE, get_allowed_origins, restrict_origins


def test_the_origins_of_the_server_and_of_the_variable_are_allowed() -> None:
    assert get_allowed_origins(8000, {}) == ["http://127.0.0.1:8000", "http://localhost:8000"]
    assert get_allowed_origins(80, {ORIGINS_VARIABLE: "http://a:1/, ,http://b"})[2:] == ["http://a:1", "http://b"]


def test_only_allowed_origins_can_read() -> None:
    app = FastAPI()
    app.add_middleware(CORSMiddleware, allow_origins=["*"], allow_credentials=True)
    app.add_middleware(GZipMiddleware)
    restrict_origins(app, ["http://own"])
    client = TestClient(app)
    for origin, shown in (("http://own", "http://own"), ("http://evil", None)):
        assert client.get("/", headers={"Origin": origin}).headers.get("access-control-allow-origin") == shown


def test_requests_from_other_origins_are_refused() -> None:
    app, asked = FastAPI(), []
    app.post("/label")(lambda: asked.append(1))
    restrict_origins(app, ["http://own"])
    client = TestClient(app)
    assert client.post("/label", headers={"Origin": "http://evil"}).status_code == 403
    assert not asked
    assert client.post("/label", headers={"Origin": "http://own"}).status_code == 200
    assert client.post("/label").status_code == 200


@pytest.mark.slow
def test_monailabel_still_allows_all_origins_and_fails_with_others(tmp_path: Path) -> None:
    (tmp_path / "studies").mkdir()
    words = ["start_server", "--app", str(tmp_path), "--studies", str(tmp_path / "studies"), "--dryrun"]
    code = (
        "import json, os, sys; os.environ['MONAI_LABEL_CORS_ORIGINS'] = json.dumps(['http://own']);"
        f"sys.argv = ['monailabel', *{words!r}]; from monailabel.main import Main; Main().run()"
    )
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "AnyHttpUrl is not JSON serializable" in run.stderr
    from monailabel.config import Settings

    assert json.loads(json.dumps(Settings().MONAI_LABEL_CORS_ORIGINS)) == []
