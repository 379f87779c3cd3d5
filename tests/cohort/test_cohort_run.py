"""A cohort has every result once, equal to those of one process, whatever happens to its workers."""

from __future__ import annotations

import json
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import distributed
import fsspec
import pytest
from helpers.dask_clusters import processes, use_threads
from helpers.image_cases import write_lesions
from helpers.jobs import write_cases
from helpers.workflows import SMALL

from bundle import ROOT
from bundle.cluster.connection import ClusterOptions
from bundle.cohort import cohort_run
from bundle.cohort.cohort_run import CohortError, run_cohort
from bundle.inference import case_dataset
from bundle.inference.case_record import CaseRecord
from bundle.inference.claims import CLAIMS, Claims
from bundle.results.result_folder import Counts

CONFIG = str(Path(ROOT, "configs", "inference.json"))
OPTIONS = {**SMALL, "plan": "fp32", "overlay": False, "plausible_distance": None, "find_regions": False}


def cohort(folder: Path, out: Path, weights: str, cluster: ClusterOptions | None = None, **more: Any) -> Counts:
    options = {**OPTIONS, "checkpoint": weights, "input": str(folder), **more}
    return run_cohort([CONFIG], out, options=options, cluster=cluster)


def comparable(folder: Path) -> dict[str, Any]:
    """Return what two runs have in common: label maps bit by bit, and the results without their times and folders."""
    found: dict[str, Any] = {path.name: path.read_bytes() for path in folder.glob("*.nii.gz")}
    for path in folder.glob("case*.json"):
        record = json.loads(path.read_text())
        found[path.name] = {
            key: value for key, value in record.items() if key not in ("seconds", "output", "provenance")
        }
    return found


def test_in_this_process_and_on_a_cluster_the_results_are_equal(
    tmp_path: Path, weights: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_cases(tmp_path / "in", 3)
    (tmp_path / "in" / "case01.nii.gz").write_bytes(b"no volume")
    assert cohort(tmp_path / "in", tmp_path / "one", weights) == Counts(2, 1)
    use_threads(monkeypatch)
    monkeypatch.chdir(tmp_path)
    assert cohort(Path("in", "*.nii.gz"), tmp_path / "two", weights, ClusterOptions(workers=1)) == Counts(2, 1)
    assert json.loads((tmp_path / "two" / "case00.json").read_text())["input"] == str(tmp_path / "in" / "case00.nii.gz")
    assert comparable(tmp_path / "one") == comparable(tmp_path / "two")
    files = [{path.name for path in (tmp_path / name).iterdir()} for name in ("one", "two")]
    assert files[0] == files[1]
    before = (tmp_path / "two" / "volumes.csv").read_bytes()
    assert cohort(tmp_path / "in", tmp_path / "two", weights) == Counts(2, 1)
    assert (tmp_path / "two" / "volumes.csv").read_bytes() == before


def test_paths_are_those_of_this_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.pt").touch()
    absolute = cohort_run._absolute
    assert absolute("input", "in/*.nii.gz") == str(tmp_path / "in" / "*.nii.gz")
    assert absolute("input", Path("in")) == str(tmp_path / "in")
    assert absolute("checkpoint", "model.pt") == str(tmp_path / "model.pt")
    for name, value in [
        ("input", "s3://a/b"),
        ("input", "@dataset_dir"),
        ("input", ""),
        ("model", "other"),
        ("plan", 1),
    ]:
        assert absolute(name, value) == value


@pytest.mark.parametrize("task", ["lesion_segmentation", "lesion_classification", "cell_segmentation"])
def test_2d_images_come_from_manifests_and_addresses(task: str, tmp_path: Path) -> None:
    files = sorted((write_lesions(tmp_path, 2) / "images").iterdir())
    memory = fsspec.filesystem("memory")
    memory.pipe("/lesions/b.png", files[1].read_bytes())
    (tmp_path / "m.csv").write_text(f"case,image\na,{files[0]}\nb,memory://lesions/b.png\nc,memory://lesions/c.png\n")
    config = str(Path(ROOT, "configs", task, "inference.json"))
    out = {name: tmp_path / name for name in ("manifest", "folder", "address")}
    manifest = {"input": str(tmp_path / "m.csv")}
    assert run_cohort([config], out["manifest"], options=manifest) == Counts(2, 1)
    assert run_cohort([config], out["folder"], options={"input": str(tmp_path / "images")}) == Counts(2, 0)
    assert run_cohort([config], out["address"], options={"input": f"file://{tmp_path}/images"}) == Counts(2, 0)
    records = {
        path.stem: json.loads(path.read_text()) for path in (out["manifest"] / "a.json", out["manifest"] / "b.json")
    }
    assert [record["input"] for record in records.values()] == [str(files[0]), "memory://lesions/b.png"]
    for name, other in (("a", "lesion0"), ("b", "lesion1")):
        for folder in ("folder", "address"):
            expected = json.loads((out[folder] / f"{other}.json").read_text())
            for key in ("labels", "classes"):
                assert records[name].get(key) == expected.get(key)
    (failure,) = json.loads((out["manifest"] / "summary.json").read_text())["failures"]
    assert (failure["case"], failure["file"]) == ("c", "memory://lesions/c.png")


def test_cases_of_other_processes_are_asked_for_again(
    tmp_path: Path, weights: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_cases(tmp_path / "in", 2)
    use_threads(monkeypatch)
    monkeypatch.setattr(cohort_run, "WAIT", 0.05)
    other = Claims(tmp_path / "out")
    claim = other.take("case00")
    assert claim is not None
    threading.Timer(3, claim.release).start()
    assert cohort(tmp_path / "in", tmp_path / "out", weights, ClusterOptions(workers=1)) == Counts(2, 0)
    other.close()


def test_workers_that_cannot_run_the_config_end_the_cohort(
    tmp_path: Path, weights: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_cases(tmp_path / "in", 1)
    use_threads(monkeypatch)
    with pytest.raises(CohortError, match=r"case00: .*none.pt does not exist"):
        cohort(tmp_path / "in", tmp_path / "out", str(tmp_path / "none.pt"), ClusterOptions(workers=1))


def test_failed_cases_of_a_killed_cohort_are_tried_again(
    tmp_path: Path, weights: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its workers live on, with their runners."""

    def fail(*args: Any) -> None:
        raise OSError("the share is away")

    write_cases(tmp_path / "in", 1)
    use_threads(monkeypatch)
    with distributed.LocalCluster(n_workers=1, protocol="tcp://", dashboard_address="127.0.0.1:0") as started:
        cluster = ClusterOptions(scheduler=started.scheduler_address)
        with monkeypatch.context() as patched:
            patched.setattr(case_dataset, "_fetch", fail)
            patched.setattr(cohort_run, "_forget_runners", lambda client, request: None)
            assert cohort(tmp_path / "in", tmp_path / "out", weights, cluster) == Counts(0, 1)
        assert cohort(tmp_path / "in", tmp_path / "out", weights, cluster) == Counts(1, 0)


@pytest.mark.parametrize("cluster", [None, ClusterOptions(workers=1)], ids=["here", "on a cluster"])
def test_a_failure_that_cannot_be_written_counts(
    cluster: ClusterOptions | None, tmp_path: Path, weights: str, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    def fail(record: CaseRecord, folder: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(CaseRecord, "write", fail)
    write_cases(tmp_path / "in", 1)
    use_threads(monkeypatch)
    assert cohort(tmp_path / "in", tmp_path / "out", weights, cluster) == Counts(0, 1)
    assert f"1 cases failed, but only 0 have a JSON in {tmp_path / 'out'}" in caplog.text


class Watch(threading.Thread):
    """Note every state in which a result is seen."""

    def __init__(self, folder: Path) -> None:
        super().__init__(daemon=True)
        self.folder, self.seen, self.ended = folder, {}, threading.Event()  # type: ignore[var-annotated]

    def run(self) -> None:
        while not self.ended.wait(0.02):
            for path in self.folder.glob("case*.json"):
                status = path.stat()
                self.seen.setdefault(path.name, set()).add((status.st_ino, status.st_mtime_ns))


@pytest.mark.slow
def test_workers_are_killed_and_paused_and_every_result_is_there_once(tmp_path: Path, weights: str) -> None:
    names = write_cases(tmp_path / "in", 300)
    for name in (names[7], names[250]):
        (tmp_path / "in" / f"{name}.nii.gz").write_bytes(b"no volume")
    assert cohort(tmp_path / "in", tmp_path / "one", weights) == Counts(298, 2)
    out = tmp_path / "out"
    watch = Watch(out)
    watch.start()

    def disturb(workers: list[Any]) -> None:
        while len(list(out.glob("case*.json"))) < 60:
            time.sleep(0.05)
        workers[0].send_signal(signal.SIGSTOP)
        time.sleep(3)
        workers[1].kill()
        time.sleep(10)
        workers[0].send_signal(signal.SIGCONT)

    with processes(tmp_path, 3) as (address, workers):
        thread = threading.Thread(target=disturb, args=(workers,))
        thread.start()
        counts = cohort(tmp_path / "in", out, weights, ClusterOptions(scheduler=address))
        thread.join()
    watch.ended.set()
    watch.join()
    assert counts == Counts(298, 2)
    assert comparable(out) == comparable(tmp_path / "one")
    assert {name: len(states) for name, states in watch.seen.items() if len(states) > 1} == {}
    summaries = [json.loads((folder / "summary.json").read_text()) for folder in (out, tmp_path / "one")]
    assert [[case["case"] for case in each["failures"]] for each in summaries] == [[names[7], names[250]]] * 2
    assert {path.name for path in out.iterdir()} == {path.name for path in (tmp_path / "one").iterdir()}


def stop_in_a_case(worker: Any, out: Path) -> str:
    """Stop a worker while it computes a case; return the name of the case."""
    while True:
        for path in (out / CLAIMS).glob("*.1"):
            with suppress(OSError, ValueError):
                if json.loads(path.read_text())["pid"] == worker.pid:
                    worker.send_signal(signal.SIGSTOP)
                    if path.exists() and not (out / f"{path.stem}.json").exists():
                        return path.stem
                    worker.send_signal(signal.SIGCONT)
        time.sleep(0.01)


@pytest.mark.slow
def test_a_worker_that_dask_has_given_up_returns_and_writes_nothing(
    tmp_path: Path, weights: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is stopped in a case for longer than the worker TTL, and goes on when another one has completed it."""
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{Path(ROOT, 'tests')}")
    slow = {"preprocessing#transforms#1": {"_target_": "helpers.slow_case.Waitd", "seconds": 1.5}}
    write_cases(tmp_path / "in", 16)
    write_cases(tmp_path / "first", 2)
    assert cohort(tmp_path / "in", tmp_path / "one", weights, **slow) == Counts(16, 0)
    out, seen = tmp_path / "out", {}
    watch = Watch(out)
    watch.start()

    def disturb(address: str, worker: Any) -> None:
        while len(list(out.glob("case*.json"))) < 4:
            time.sleep(0.05)
        seen["case"] = name = stop_in_a_case(worker, out)
        with distributed.Client(address, set_as_default=False) as client:
            while len(client.nthreads()) > 1 or not (out / f"{name}.json").exists():
                time.sleep(0.1)
            seen["workers"] = len(client.nthreads())
        worker.send_signal(signal.SIGCONT)

    modules = ("bundle.cohort.case_runner", "bundle.inference", "bundle.networks")
    with processes(tmp_path, 2, preload=modules, DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL="60s") as (address, workers):
        cluster = ClusterOptions(scheduler=address)
        # a busy machine may take the TTL for the first case of a worker alone, and lose both workers
        assert cohort(tmp_path / "first", tmp_path / "warm", weights, cluster, **slow) == Counts(2, 0)
        thread = threading.Thread(target=disturb, args=(address, workers[0]), daemon=True)
        thread.start()
        assert cohort(tmp_path / "in", out, weights, cluster, **slow, **{"completed#expiry": 20.0}) == Counts(16, 0)
        thread.join(60)
        time.sleep(5)
    watch.ended.set()
    watch.join()
    assert seen["workers"] == 1
    assert comparable(out) == comparable(tmp_path / "one")
    assert {name: len(states) for name, states in watch.seen.items() if len(states) > 1} == {}
    assert len(watch.seen[f"{seen['case']}.json"]) == 1


@pytest.mark.slow
@pytest.mark.parametrize("gigabytes", [0, 3])
def test_a_case_that_kills_its_worker_twice_is_recorded_and_the_others_continue(
    gigabytes: float, tmp_path: Path, weights: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{Path(ROOT, 'tests')}")
    write_cases(tmp_path / "in", 8)
    (tmp_path / "in" / "case03.nii.gz").rename(tmp_path / "in" / "case03_killer.nii.gz")
    killer = {"_target_": "helpers.killer.Killd", "word": "killer", "gigabytes": gigabytes}
    cluster = ClusterOptions(workers=2, memory_limit="2GB")
    more = {"preprocessing#transforms#1": killer, "preprocessing#transforms#2": killer}
    assert cohort(tmp_path / "in", tmp_path / "out", weights, cluster, **more) == Counts(7, 1)
    (failure,) = json.loads((tmp_path / "out" / "summary.json").read_text())["failures"]
    assert (failure["case"], failure["error"]) == ("case03_killer", "ProcessDeathError")
    assert "2 processes ended while they computed it" in failure["message"]
