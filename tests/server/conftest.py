"""The real MONAI Label server, started once on a free port for all tests that leave it as it was."""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bundle import ROOT

sys.path[:0] = [str(Path(ROOT, "tests")), str(Path(ROOT, "tests", "server"))]

from servers import Server, make_client, write_studies  # noqa: E402 - in this folder

HAVE_SERVER = importlib.util.find_spec("monailabel") is not None
collect_ignore_glob = [] if HAVE_SERVER else ["test_*.py"]


def pytest_configure(config: pytest.Config) -> None:
    """Ignore warnings of MONAI Label and its libraries; use a separate cache for the plans of this process."""
    os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="keyslice-plans-")
    for line in (
        "ignore::DeprecationWarning",
        "ignore:Using `httpx` with",
        "ignore::PendingDeprecationWarning",
        "ignore::FutureWarning",
        "ignore::pytest.PytestUnraisableExceptionWarning",
        "ignore::ResourceWarning",
    ):
        config.addinivalue_line("filterwarnings", line)


@pytest.fixture(scope="session")
def make_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:
    """Start servers, ``make_server(studies, *options)``; all are stopped after the last test."""
    servers: list[Server] = []

    def make(studies: Path, *options: str) -> Server:
        servers.append(Server(studies, tmp_path_factory.mktemp("work"), *options))
        return servers[-1].start()

    yield make
    for server in servers:
        server.stop()


@pytest.fixture(scope="session")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of studies, see :func:`write_studies`."""
    return write_studies(tmp_path_factory.mktemp("data") / "studies")


@pytest.fixture(scope="session")
def server(make_server: Callable[..., Server], studies: Path) -> Server:
    """The server on ``studies``, shared by all modules."""
    return make_server(studies)


@pytest.fixture(scope="session")
def client(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """MONAI Label's client, connected to ``server``."""
    return make_client(server, tmp_path_factory.mktemp("client"))


@pytest.fixture(scope="session")
def case(studies: Path) -> str:
    """The image for tests of inference: a real hippocampus if there is one, else a phantom."""
    real = sorted(path for path in studies.glob("*.nii.gz") if not path.name.startswith("phantom"))
    return (real or sorted(studies.glob("*.nii.gz")))[0].name.removesuffix(".nii.gz")
