"""``python -m bundle label``: start the MONAI Label server on a folder of studies."""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import logging
import os
import shutil
import socket
import sys
from pathlib import Path

from bundle import ROOT

from .label_tasks import choose_tasks, parse_models
from .server_errors import StudiesError

logger = logging.getLogger(__name__)

ENVIRONMENT = ".venv-label"
"""Environment of the server in the bundle root, made by ``make label-server``."""

APP = '''"""Made by python -m bundle label, which writes it anew at every start."""

from bundle.server.app import KeysliceApp  # noqa: F401
'''

LOOPBACK = ("127.0.0.1", "::1", "localhost")


def start_server(
    studies: str | Path,
    *,
    models: str | None = None,
    host: str = "127.0.0.1",
    port: int = 8000,
    work: str | Path | None = None,
) -> None:
    """Become the server; where MONAI Label is not installed, become the one of its environment.

    Args:
        studies: folder of the images; labels are written into it.
        models: names of models, separated by commas; all that fit by default.
        host: address to listen on.
        port: port to listen on.
        work: folder for logs, sessions and trained weights; by default one per folder of studies.

    Raises:
        StudiesError: when folder, models, working folder or port cannot be used.
        ModuleNotFoundError: when MONAI Label is nowhere.
    """
    studies = Path(studies).resolve()
    chosen = choose_tasks(studies, parse_models(models))
    work = Path(work).resolve() if work else default_work(studies)
    python = find_python()
    check_port(host, port)
    check_work(work)
    lock_work(work)
    prepare_work(work)
    names = ",".join(task.name for task in chosen)
    told = f"http://{host}:{port} serves {names} on {studies}; its own files lie in {work}"
    logger.info("%s", told)
    if host not in LOOPBACK:
        logger.warning("whoever reaches %s can read, change and delete these studies: there is no password", host)
    sys.stdout.flush()
    options = {"--app": work, "--studies": studies, "--host": host, "--port": port}
    words = [str(word) for option in options.items() for word in option]
    words += ["--conf", "models", names, "--uvicorn_app", "bundle.server.web_app:app"]
    command = [python, "-W", "ignore", "-m", "monailabel.main", "start_server", *words]
    os.chdir(work)
    os.execve(python, command, environment(work))  # noqa: S606 - the server takes this place


def find_python() -> str:
    """Return the interpreter that has MONAI Label: this one, or that of ``.venv-label`` in the bundle root.

    Raises:
        ModuleNotFoundError: when there is none.
    """
    if importlib.util.find_spec("monailabel") is not None:
        return sys.executable
    python = Path(ROOT, ENVIRONMENT, "bin", "python")
    if not python.is_file():
        raise ModuleNotFoundError(
            "MONAI Label is not installed, and needs an environment of its own; this makes it: "
            f"make -C {ROOT} {ENVIRONMENT}/.label"
        )
    return str(python)


def default_work(studies: Path) -> Path:
    """Return the working folder for a folder of studies, the same at every start."""
    home = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    mark = hashlib.sha256(str(studies).encode()).hexdigest()[:8]
    return home / "keyslice" / "label" / f"{studies.name}-{mark}"


def check_work(work: Path) -> None:
    """Raise a :class:`.StudiesError` when a working folder lies in the bundle."""
    if Path(ROOT) in (work, *work.parents):
        raise StudiesError(f"--work {work}: lies in the bundle itself; pass a folder elsewhere.")


def lock_work(work: Path) -> int:
    """Keep other servers out of a working folder for as long as this process lives, which becomes the server.

    Returns:
        The open file that holds the lock.

    Raises:
        StudiesError: when another server has the folder.
    """
    work.mkdir(parents=True, exist_ok=True)
    lock = os.open(work / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise StudiesError(f"{work}: another server works in it; stop that one, or pass another --work.") from None
    os.set_inheritable(lock, True)
    return lock


def prepare_work(work: Path) -> None:
    """Make the working folder an app as MONAI Label wants it, without what earlier answers have left."""
    for name in ("uploads", "results"):
        shutil.rmtree(work / name, ignore_errors=True)
    for name in ("uploads", "results", "sessions"):
        (work / name).mkdir(parents=True, exist_ok=True)
    (work / "main.py").write_text(APP, encoding="utf-8")


def check_port(host: str, port: int) -> None:
    """Raise a :class:`.StudiesError` when an address cannot be listened on."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(address)
    except (OSError, OverflowError) as error:
        raise StudiesError(f"{host}:{port}: cannot be listened on ({error}); pass another --port or --host.") from error


def environment(work: Path) -> dict[str, str]:
    """Return the environment variables of the server."""
    path = os.pathsep.join(part for part in (ROOT, os.environ.get("PYTHONPATH", "")) if part)
    return {"MONAI_LABEL_SESSION_PATH": str(work / "sessions"), **os.environ, "PYTHONPATH": path}
