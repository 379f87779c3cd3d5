"""The real MONAI Label server as a process, and folders of studies for it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from bundle import ROOT
from bundle.server.label_tasks import TASKS, LabelTask

DATA = Path(os.environ.get("KEYSLICE_DATA", Path(ROOT).parent / "shared" / "data"))
"""Folder of the sample data."""

PATIENCE = 900
"""Seconds after which a start or a background task counts as failed."""


def free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


class Server:
    """A running server: ``url``, its folders, its process, and requests to it."""

    folder: str | Path = ROOT
    """Working directory of the process."""

    def __init__(self, studies: Path, work: Path, *options: str) -> None:
        self.studies, self.work, self.options = studies, work, options
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = work.parent / f"{work.name}.log"
        self.process: subprocess.Popen | None = None

    def command(self) -> list[str]:
        """Return the command that starts the server."""
        words = ["--studies", str(self.studies), "--work", str(self.work), "--port", str(self.port), *self.options]
        return [sys.executable, "-W", "ignore", "-m", "bundle", "label", *words]

    def start(self) -> Self:
        import requests

        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command(), stdout=log, stderr=log, cwd=self.folder)
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            assert self.process.poll() is None, self.log.read_text()[-3000:]
            try:
                requests.get(f"{self.url}/info/", timeout=30)
            except requests.ConnectionError:
                time.sleep(0.5)
            else:
                return self
        self.stop()
        raise AssertionError(f"no answer in {PATIENCE} s:\n{self.log.read_text()[-3000:]}")

    def stop(self) -> int:
        """Stop the server with SIGTERM; return its exit status."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(120)

    def request(self, method: str, path: str, **kwargs: Any) -> Any:
        import requests

        return requests.request(method, self.url + path, timeout=300, **kwargs)

    def get(self, path: str, **kwargs: Any) -> Any:
        return self.request("GET", path, **kwargs)

    def post(self, path: str, **kwargs: Any) -> Any:
        return self.request("POST", path, **kwargs)

    def put(self, path: str, **kwargs: Any) -> Any:
        return self.request("PUT", path, **kwargs)

    def delete(self, path: str, **kwargs: Any) -> Any:
        return self.request("DELETE", path, **kwargs)

    def wait_for_task(self, path: str) -> dict[str, Any]:
        """Wait until a background task has ended; return its record."""
        end = time.monotonic() + PATIENCE
        while (record := self.get(path).json())["status"] in ("SUBMITTED", "RUNNING"):
            assert time.monotonic() < end, f"{path} has not ended in {PATIENCE} s: {record}"
            time.sleep(0.5)
        return record

    def wait_for_empty_folders(self) -> None:
        """Wait until the files of uploads and results are deleted, which happens after the response was sent."""
        end = time.monotonic() + PATIENCE
        while left := [*(self.work / "uploads").iterdir(), *(self.work / "results").iterdir()]:
            assert time.monotonic() < end, f"{left} are not deleted after {PATIENCE} s"
            time.sleep(0.05)

    @property
    def memory(self) -> int:
        """Resident memory in bytes."""
        import psutil

        assert self.process is not None
        return int(psutil.Process(self.process.pid).memory_info().rss)


def make_client(server: Server, folder: Path) -> Any:
    """Return MONAI Label's client of a server; it saves files to ``folder``."""
    from monailabel.client import MONAILabelClient

    return MONAILabelClient(server_url=server.url, tmpdir=str(folder))


def hippocampus_files() -> list[Path]:
    """Return the real hippocampus images of the sample data; none if there is no sample data."""
    return sorted((DATA / "volumes" / "hippocampus" / "images").glob("*.nii.gz"))


def write_studies(folder: Path, count: int = 3, *, side: int = 24) -> Path:
    """Write phantom volumes, ``phantom_0.nii.gz`` and so on, and copy the real hippocampus images if there are any.

    Their labels have the same names in ``<folder>_labels``.
    """
    from helpers.phantoms import ball, noise, write_nifti

    labels = folder.with_name(f"{folder.name}_labels")
    for index in range(count):
        label = ball((side, side + 2, side), radius=side / 4)
        image = (noise(label.shape, seed=index) * 0.3 + label * 2 + 5).astype(np.float32)
        write_nifti(folder / f"phantom_{index}.nii.gz", image)
        write_nifti(labels / f"phantom_{index}.nii.gz", label)
    for file in hippocampus_files()[:2]:
        shutil.copyfile(file, folder / file.name)
        shutil.copyfile(file.parent.parent / "labels" / file.name, labels / file.name)
    return folder


def task_without_guard(root: Path) -> LabelTask:
    """Return the main task with the shipped weights, which judge no result, as those of phantoms are not plausible."""
    (root / "models").mkdir(parents=True)
    (root / "configs").symlink_to(Path(ROOT, "configs"))
    shutil.copyfile(Path(ROOT, "models", "model.pt"), root / "models" / "model.pt")
    return replace(TASKS[0], root=root, work=root / "work")


def untrained_task(name: str, root: Path) -> LabelTask:
    """Return a task for 2D images with random weights."""
    import torch
    from monai.bundle import ConfigParser

    task = replace(next(task for task in TASKS if task.name == name), root=root, work=root)
    (root / "configs").symlink_to(Path(ROOT, "configs"))
    parser = ConfigParser({**task.config, "checkpoint": None})
    task.shipped_weights.parent.mkdir(parents=True)
    torch.save(parser.get_parsed_content("network").state_dict(), task.shipped_weights)
    return task
