"""``python -m bundle label``: start the MONAI Label server on a study folder."""

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
from bundle.data.case_review import CORRECT, FAIL

from .label_tasks import choose_tasks, parse_models, served_tasks
from .server_errors import StudiesError
from .study_ratings import find_studies, rate_studies

logger = logging.getLogger(__name__)

ENVIRONMENT = ".venv-label"
"""Environment of the server in the bundle root, made by ``make label-server``."""

APP = '''"""Written by python -m bundle label at every start."""

from bundle.server.app import KeysliceApp  # noqa: F401
'''

LOOPBACK = ("127.0.0.1", "::1", "localhost")


def start_server(
    studies: str | Path | None,
    *,
    models: str | None = None,
    model: str | Path | None = None,
    qc: str | Path | None = None,
    host: str = "127.0.0.1",
    port: int = 8000,
    work: str | Path | None = None,
) -> None:
    """Replace this process by the server, with the interpreter of an environment that has MONAI Label.

    Args:
        studies: folder of the images; labels are written into it. None for that of the images in ``qc``.
        models: names of models, separated by commas; all that fit by default.
        model: folder of a training, whose weights are served instead of the shipped ones.
        qc: ratings of the images, which the page of a run saves; None for none.
        host: address to listen on.
        port: port to listen on.
        work: folder for logs, sessions and trained weights; by default one per study folder.

    Raises:
        StudiesError: if folder, models, working folder or port are invalid.
        DatalistError: if the ratings cannot be read, or do not fit the images.
        ModelFolderError: if the model folder cannot be used.
        ModuleNotFoundError: if MONAI Label is not installed.
    """
    studies = find_studies(qc) if studies is None else Path(studies).resolve()
    chosen = choose_tasks(studies, parse_models(models), served_tasks(model))
    if qc is not None:
        ratings = rate_studies(qc, studies, chosen[0].kind).values()
        to_correct = sum(rating.rating in (FAIL, CORRECT) for rating in ratings)
        logger.info("%s: %d images failed or need correction; the strategy 'review' offers them first", qc, to_correct)
    work = Path(work).resolve() if work else default_work_dir(studies)
    python = find_python()
    check_port(host, port)
    check_work_dir(work)
    lock_work_dir(work)
    prepare_work_dir(work)
    names = ",".join(task.name for task in chosen)
    logger.info("http://%s:%s serves %s on %s; working folder: %s", host, port, names, studies, work)
    if host not in LOOPBACK:
        logger.warning("everyone who reaches %s can read, change and delete these studies: no password", host)
    sys.stdout.flush()
    options = {"--app": work, "--studies": studies, "--host": host, "--port": port}
    words = [str(word) for option in options.items() for word in option]
    for name, path in (("model", model), ("qc", qc)):
        words += [] if path is None else ["--conf", name, str(Path(path).resolve())]
    words += ["--conf", "models", names, "--uvicorn_app", "bundle.server.web_app:app"]
    command = [python, "-W", "ignore", "-m", "monailabel.main", "start_server", *words]
    os.chdir(work)
    os.execve(python, command, server_environment(work))  # noqa: S606 - becomes the server


def find_python() -> str:
    """Return an interpreter that has MONAI Label: this one, or that of ``.venv-label`` in the bundle root.

    Raises:
        ModuleNotFoundError: if there is none.
    """
    if importlib.util.find_spec("monailabel") is not None:
        return sys.executable
    python = Path(ROOT, ENVIRONMENT, "bin", "python")
    if not python.is_file():
        raise ModuleNotFoundError(f"MONAI Label is not installed; it needs a separate environment: {_remedy()}")
    return str(python)


def _remedy() -> str:
    """Return how to make the environment of the server: in a checkout, or from an installed wheel."""
    if Path(ROOT, "Makefile").is_file():
        return f"run make -C {ROOT} {ENVIRONMENT}/.label"
    return f"install {Path(ROOT, 'requirements', 'label_server.txt')} and keyslice there, both with pip --no-deps."


def default_work_dir(studies: Path) -> Path:
    """Return the default working folder for a study folder, the same at every start."""
    home = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    digest = hashlib.sha256(str(studies).encode()).hexdigest()[:8]
    return home / "keyslice" / "label" / f"{studies.name}-{digest}"


def check_work_dir(work: Path) -> None:
    """Raise a :class:`.StudiesError` if a working folder is inside the bundle, or holds files of something else."""
    if Path(ROOT) in (work, *work.parents):
        raise StudiesError(f"--work {work}: is inside the bundle; pass another folder.")
    app = work / "main.py"
    is_ours = app.is_file() and app.read_text(encoding="utf-8", errors="replace").startswith(APP.splitlines()[0])
    if not is_ours and work.exists() and any(path.name != ".lock" for path in work.iterdir()):
        raise StudiesError(
            f"--work {work}: holds other files, and the server deletes its results and uploads at every start; pass an "
            "empty folder, or one of an earlier server."
        )


def lock_work_dir(work: Path) -> int:
    """Lock a working folder for the lifetime of this process, which becomes the server.

    Returns:
        The open file that holds the lock.

    Raises:
        StudiesError: if another server uses the folder.
    """
    work.mkdir(parents=True, exist_ok=True)
    lock = os.open(work / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise StudiesError(f"{work}: another server uses this folder; stop it, or pass another --work.") from None
    os.set_inheritable(lock, True)
    return lock


def prepare_work_dir(work: Path) -> None:
    """Create the folders and ``main.py`` that MONAI Label needs, and delete files of earlier responses."""
    for name in ("uploads", "results"):
        shutil.rmtree(work / name, ignore_errors=True)
    for name in ("uploads", "results", "sessions"):
        (work / name).mkdir(parents=True, exist_ok=True)
    (work / "main.py").write_text(APP, encoding="utf-8")


def check_port(host: str, port: int) -> None:
    """Raise a :class:`.StudiesError` if the server cannot listen on an address."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as test_socket:
            test_socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            test_socket.bind(address)
    except (OSError, OverflowError) as error:
        raise StudiesError(
            f"{host}:{port}: cannot listen on this address ({error}); pass another --port or --host."
        ) from error


def server_environment(work: Path) -> dict[str, str]:
    """Return the environment variables of the server."""
    path = os.pathsep.join(part for part in (ROOT, os.environ.get("PYTHONPATH", "")) if part)
    return {"MONAI_LABEL_SESSION_PATH": str(work / "sessions"), **os.environ, "PYTHONPATH": path}
