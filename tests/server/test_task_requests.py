from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from monailabel.utils.async_tasks import task as upstream
from monailabel.utils.async_tasks import utils

from bundle.server.server_errors import RequestError
from bundle.server.workarounds import task_requests


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The tasks that would be started in a process."""
    found: list[dict[str, Any]] = []
    app = SimpleNamespace(info=dict, bundle_path=lambda model: None, train=lambda request: {"trained": request})

    def start(request: dict[str, Any], method: str) -> dict[str, Any]:
        found.append({"status": "SUBMITTED", "request": request})
        return found[-1]

    monkeypatch.setattr(upstream, "app_instance", lambda: app)
    monkeypatch.setattr(upstream, "run_background_task", start)
    monkeypatch.setattr(task_requests, "tasks", lambda method: found)
    monkeypatch.setattr(upstream.AsyncTask, "run", upstream.AsyncTask.run)
    return found


def refuse(method: str, request: Any) -> None:
    if request.get("model") == "x":
        raise RequestError(404, f"there is no {request['model']}")


def test_a_request_is_checked_before_it_is_started(started) -> None:
    task_requests.install(refuse)
    with pytest.raises(RequestError, match="there is no x"):
        upstream.AsyncTask.run("train", {"model": "a"}, {"model": "x"})
    assert started == []
    assert upstream.AsyncTask.run("train", {"model": "a"}, {"max_epochs": 1}) == (started[0], None)
    assert started[0]["request"] == {"model": "a", "max_epochs": 1}


@pytest.mark.parametrize("status", ["SUBMITTED", "RUNNING"])
def test_a_queued_or_running_task_is_not_started_again(status: str, started) -> None:
    task_requests.install(refuse)
    upstream.AsyncTask.run("train", {"model": "a"})
    started[0]["status"] = status
    with pytest.raises(RequestError, match="train is already running; wait for it, or stop it") as caught:
        upstream.AsyncTask.run("train", {"model": "b"})
    assert caught.value.status == 429
    upstream.AsyncTask.run("train", {"model": "b"}, enqueue=True)
    for task in started:
        task["status"] = "DONE"
    upstream.AsyncTask.run("train", {"model": "b"})
    assert [task["request"]["model"] for task in started] == ["a", "b", "b"]


def test_two_scoring_methods_are_queued(started) -> None:
    task_requests.install(refuse)
    for method in ("dice", "uncertainty"):
        upstream.AsyncTask.run("scoring", {"method": method})
    with pytest.raises(RequestError, match="scoring is already running"):
        upstream.AsyncTask.run("scoring", {"method": "dice"})
    assert [task["request"]["method"] for task in started] == ["dice", "uncertainty"]


def test_a_task_in_the_server_process_is_checked(started) -> None:
    task_requests.install(refuse)
    assert upstream.AsyncTask.run("train", {"model": "a"}, force_sync=True) == ({"trained": {"model": "a"}}, None)
    with pytest.raises(RequestError, match="there is no x"):
        upstream.AsyncTask.run("train", {"model": "x"}, force_sync=True)


def test_an_awaited_task_is_not_started_again(started) -> None:
    def train_twice(request: dict[str, Any]) -> str:
        for awaited in (False, True):
            with pytest.raises(RequestError, match="train is already running"):
                upstream.AsyncTask.run("train", {"model": "b"}, force_sync=awaited)
        return "trained"

    task_requests.install(refuse)
    upstream.app_instance().train = train_twice
    for _ in range(2):
        assert upstream.AsyncTask.run("train", {"model": "a"}, force_sync=True) == ("trained", None)
    assert started == []


def test_monailabel_still_starts_invalid_requests(started) -> None:
    """When this fails, bundle/server/workarounds/task_requests.py is no longer needed."""
    for _ in range(2):
        task_requests._UPSTREAM("train", {"model": "of nobody"})
    assert len(started) == 2
    assert utils.processes("train") == {}
