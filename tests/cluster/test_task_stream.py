"""Every item comes back once with its result; few are known to the cluster; failed tasks are tried again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from helpers.dask_clusters import use_threads

from bundle.cluster import task_stream
from bundle.cluster.connection import ClusterOptions, connect
from bundle.cluster.task_stream import AHEAD, TaskStream

TRIES: dict[str, int] = {}


def run_or_fail(item: str) -> str:
    """Fail always, or once, by the item."""
    TRIES[item] = TRIES.get(item, 0) + 1
    if item == "bad" or (item == "flaky" and TRIES[item] < 2):
        raise RuntimeError(f"{item} failed")
    return item.upper()


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    use_threads(monkeypatch)
    with connect(ClusterOptions(workers=2)) as found:
        yield found


def test_every_item_has_its_result(client: Any) -> None:
    found = list(TaskStream(client, lambda item: item**2).run(iter(range(30))))
    assert sorted(found) == [(number, number**2) for number in range(30)]
    assert list(TaskStream(client, str).run([])) == []


def test_few_items_are_known_to_the_cluster(client: Any) -> None:
    drawn: list[int] = []

    def items() -> Iterator[int]:
        for number in range(40):
            drawn.append(number)
            yield number

    for ended, _ in enumerate(TaskStream(client, str).run(items())):
        assert len(drawn) <= ended + AHEAD * 2 + 2


def test_a_task_that_fails_is_tried_again(client: Any, caplog: pytest.LogCaptureFixture) -> None:
    tries = TRIES
    tries.update(bad=0, flaky=0)
    found = dict(TaskStream(client, run_or_fail).run(["good", "flaky", "bad"]))
    assert (found["good"], found["flaky"], str(found["bad"])) == ("GOOD", "FLAKY", "bad failed")
    assert (tries["bad"], tries["flaky"]) == (4, 2)
    assert "a task is tried again: RuntimeError: flaky failed" in caplog.text


def test_tasks_ask_for_resources(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, submit = [], client.submit
    monkeypatch.setattr(client, "submit", lambda *args, resources, **kwargs: asked.append(resources) or submit(*args))
    assert list(TaskStream(client, str, resources={"GPU": 1}).run([1])) == [(1, "1")]
    assert list(TaskStream(client, str).run([1])) == [(1, "1")]
    assert asked == [{"GPU": 1}, None]


def test_a_cluster_without_workers_is_reported(monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    monkeypatch.setattr(task_stream, "POLL", 0)
    monkeypatch.setattr(task_stream, "SILENCE", -1)
    stream = TaskStream(SimpleNamespace(nthreads=dict), str)  # type: ignore[arg-type]
    stream._look()
    assert (stream.workers, stream._threads) == (0, 0)
    assert "the cluster has no worker; the tasks wait" in caplog.text
    monkeypatch.setattr(task_stream, "SILENCE", 60)
    caplog.clear()
    stream._look()
    assert caplog.text == ""


def test_a_cluster_whose_workers_lack_the_resources_is_reported(monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    monkeypatch.setattr(task_stream, "SILENCE", -1)
    use_threads(monkeypatch)
    with connect(ClusterOptions(workers=2, resources={"GPU": 1})) as client:
        stream = TaskStream(client, str, resources={"GPU": 1})
        assert list(stream.run([1])) == [(1, "1")]
        assert (stream.workers, stream._threads) == (2, 2)
        assert "no worker" not in caplog.text
        stream = TaskStream(client, str, resources={"GPU": 2, "MEMORY": 2e9})
        stream._look(force=True)
    assert (stream.workers, stream._threads) == (0, 0)
    assert "the cluster has no worker with GPU=2, MEMORY=2e+09; the tasks wait" in caplog.text


def test_waiting_is_limited(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_stream, "POLL", 0.05)
    assert list(TaskStream(client, time.sleep).run([0.5])) == [(0.5, None)]
