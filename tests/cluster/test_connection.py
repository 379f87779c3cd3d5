"""Clusters are reached by their address, started here, or as jobs; mistakes are named."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import dask
import dask_jobqueue
import distributed
import pytest
from helpers.dask_clusters import use_threads

from bundle.cluster.connection import ClusterError, ClusterOptions, connect, parse_resources


def test_without_an_option_everything_is_local() -> None:
    assert ClusterOptions().is_local
    assert not ClusterOptions(workers=1).is_local


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scheduler": "tcp://a:1", "workers": 2}, "--scheduler and --workers are two clusters"),
        ({"workers": 0}, "--workers must be 1 or more, got 0"),
        ({"memory_limit": "2GB"}, "--memory_limit is for --workers"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ClusterError, match=message):
        ClusterOptions(**options)


def test_resources_are_read_as_of_dask() -> None:
    assert parse_resources("GPU=1, MEMORY=2e9") == {"GPU": 1.0, "MEMORY": 2e9}
    with pytest.raises(ClusterError, match="must be NAME=NUMBER, such as GPU=1, got 'GPU'"):
        parse_resources("GPU")


def test_workers_on_this_machine_and_a_running_scheduler(monkeypatch: pytest.MonkeyPatch) -> None:
    use_threads(monkeypatch)
    with connect(ClusterOptions(workers=2, memory_limit="1GB", resources={"GPU": 1})) as client:
        assert client.submit(sum, [1, 2], resources={"GPU": 1}).result() == 3
        assert len(client.nthreads()) == 2
    with (
        distributed.LocalCluster(n_workers=1, protocol="tcp://", dashboard_address="127.0.0.1:0") as cluster,
        connect(ClusterOptions(scheduler=cluster.scheduler_address)) as client,
    ):
        assert client.submit(sum, [1, 2]).result() == 3


def test_a_worker_that_is_started_again_has_the_settings_of_the_first_one(monkeypatch: pytest.MonkeyPatch) -> None:
    use_threads(monkeypatch)
    with connect(ClusterOptions(workers=1)):
        assert dask.config.get("distributed.worker.daemon") is False
    assert dask.config.get("distributed.worker.daemon", default=True)


def test_a_memory_limit_that_is_no_size_is_named() -> None:
    message = r"cannot be started .*; --memory_limit must be a size such as 8GB, got 'lots'"
    with pytest.raises(ClusterError, match=message), connect(ClusterOptions(workers=1, memory_limit="lots")):
        pass


def test_a_scheduler_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bundle.cluster.connection.TIMEOUT", 0.3)
    with (
        pytest.raises(ClusterError, match=r"tcp://127\.0\.0\.1:9 cannot be reached"),
        connect(ClusterOptions(scheduler="tcp://127.0.0.1:9")),
    ):
        pass


def test_jobs_of_a_batch_system_are_described_by_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_threads(monkeypatch)
    scaled = []

    class Jobs(distributed.LocalCluster.func):  # type: ignore[name-defined]
        def __init__(self, cores: int) -> None:
            super().__init__(n_workers=cores, processes=False, dashboard_address="127.0.0.1:0")

        def scale(self, jobs: int) -> None:
            scaled.append(jobs)
            if jobs == 0:  # the end of a cluster
                super().scale(0)

    monkeypatch.setattr(dask_jobqueue, "Jobs", Jobs, raising=False)
    path = tmp_path / "jobs.yaml"
    path.write_text("cluster: Jobs\njobs: 3\noptions: {cores: 1}\n")
    with connect(ClusterOptions(jobqueue=path)) as client:
        assert client.submit(sum, [1, 2]).result() == 3
    assert scaled[0] == 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"cluster": "SLURMCluster"}, r"is not a description of jobs \('jobs'\)"),
        ({"cluster": "NoCluster", "jobs": 1}, "dask_jobqueue has no NoCluster; it has SLURMCluster"),
        ({"cluster": "Picky", "jobs": 1, "options": {"coers": 1}}, 'Picky does not take the options {"coers": 1}'),
    ],
)
def test_a_file_that_does_not_describe_jobs_is_named(
    content: Any, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask_jobqueue, "Picky", type("Picky", (), {}), raising=False)
    path = tmp_path / "jobs.json"
    path.write_text(json.dumps(content))
    with pytest.raises(ClusterError, match=message), connect(ClusterOptions(jobqueue=path)):
        pass


def test_dask_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with (
        pytest.raises(ClusterError, match=r"distributed is not installed: pip install 'keyslice\[cluster\]'"),
        connect(ClusterOptions(workers=1)),
    ):
        pass
