from __future__ import annotations

import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from monailabel.utils.async_tasks import utils

from bundle.server.workarounds import shutdown


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch):
    """A task of MONAI Label with a process that does not end."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    executor = ThreadPoolExecutor(max_workers=1)
    task = {"id": "1", "status": "RUNNING"}
    monkeypatch.setattr(utils, "background_tasks", {"train": [task]})
    monkeypatch.setattr(utils, "background_processes", {"train": {"1": process}})
    monkeypatch.setattr(utils, "background_executors", {"train": executor})
    yield process, task
    process.kill()
    process.wait()


def test_tasks_stop_with_the_server(running) -> None:
    process, task = running
    shutdown.stop_tasks()
    assert process.wait(60) == -signal.SIGKILL
    assert task["status"] == "STOPPED"
    with pytest.raises(RuntimeError, match="shutdown"):
        utils.background_executors["train"].submit(print)


def test_a_signal_stops_the_tasks_before_the_previous_handler(running) -> None:
    process, _ = running
    seen: list[int] = []
    before = {number: signal.getsignal(number) for number in shutdown.SIGNALS}
    try:
        signal.signal(signal.SIGTERM, lambda number, frame: seen.append(number))
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        shutdown.install()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.raise_signal(number)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert seen == [signal.SIGTERM]
    assert process.wait(60) == -signal.SIGKILL


def test_a_task_that_cannot_be_stopped_does_not_keep_the_server_running(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    before = {number: signal.getsignal(number) for number in shutdown.SIGNALS}
    monkeypatch.setattr(shutdown, "stop_tasks", lambda: [].pop())
    try:
        signal.signal(signal.SIGTERM, lambda number, frame: seen.append(number))
        shutdown.install()
        signal.raise_signal(signal.SIGTERM)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert seen == [signal.SIGTERM]


def test_other_threads_install_no_handlers() -> None:
    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=shutdown.install)
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGTERM) is before
