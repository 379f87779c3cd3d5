"""A case is held by one process; those of a process that has ended are taken over, twice at most."""

from __future__ import annotations

import errno
import json
import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from helpers.claimed import kill, silence

from bundle import ROOT
from bundle.inference import claims as module
from bundle.inference.claims import Claim, ClaimLostError, Claims, ProcessDeathError


@pytest.fixture
def runs(tmp_path: Path) -> Any:
    """Four runs in one folder."""
    found = [Claims(tmp_path) for _ in range(4)]
    yield found
    for run in found:
        run.close()


def claimed(run: Claims, case: str = "a") -> Claim:
    claim = run.take(case)
    assert claim is not None
    return claim


def test_one_of_two_runs_gets_a_case(runs: list[Claims]) -> None:
    first, second = runs[:2]
    claim = claimed(first)
    assert claim.is_held()
    assert second.take("a") is None
    assert first.take("a") is None
    assert claimed(second, "b").is_held()
    claim.release()
    assert not claim.is_held()
    assert claimed(second).is_held()


def test_of_many_threads_one_gets_a_case(tmp_path: Path) -> None:
    runs, start, found = [Claims(tmp_path) for _ in range(8)], threading.Barrier(8), []

    def take(run: Claims) -> None:
        run.open()
        start.wait()
        found.append(run.take("a"))

    threads = [threading.Thread(target=take, args=(run,)) for run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(claim is not None for claim in found) == 1
    for run in runs:
        run.close()
    assert list(tmp_path.iterdir()) == []


def test_a_case_of_a_killed_process_is_taken_over_at_once(runs: list[Claims]) -> None:
    claim = claimed(runs[0])
    kill(runs[0])
    second = claimed(runs[1])
    assert second.number == 2
    assert second.previous.startswith("process ")
    assert not claim.is_held()
    claim.release()
    assert second.is_held()
    assert runs[2].take("a") is None
    second.release()
    assert claimed(runs[2]).number == 1


def test_of_two_that_want_a_case_of_a_killed_process_one_gets_it(runs: list[Claims]) -> None:
    claimed(runs[0])
    kill(runs[0])
    runs[2]._last = lambda case: (1, {"run": runs[0].token})  # type: ignore[method-assign]
    assert claimed(runs[1]).number == 2
    assert runs[2].take("a") is None


def test_a_process_of_another_machine_has_ended_when_it_is_silent(runs: list[Claims]) -> None:
    claimed(runs[0])
    silence(runs[0], 60)
    assert runs[1].take("a") is None
    silence(runs[0], 90)
    assert claimed(runs[1]).number == 2


def test_a_paused_process_that_returns_has_lost_its_case(runs: list[Claims], tmp_path: Path) -> None:
    claim = claimed(runs[0])
    silence(runs[0], 200)
    other = claimed(runs[1])
    with pytest.raises(ClaimLostError, match="a: another process has taken the case over"):
        claim.require()
    other.commit(tmp_path / "a.json", {"by": "other"})
    with pytest.raises(ClaimLostError):
        claim.commit(tmp_path / "a.json", {"by": "first"})
    assert json.loads((tmp_path / "a.json").read_text()) == {"by": "other"}


def test_a_case_that_ended_two_processes_has_failed(runs: list[Claims]) -> None:
    for run in runs[:2]:
        claimed(run).check_attempts()
        kill(run)
    claim = claimed(runs[2])
    with pytest.raises(ProcessDeathError, match="2 processes ended while they computed it, the last one process"):
        claim.check_attempts()
    assert runs[2].held("a") == claim
    claim.release()
    assert claimed(runs[3]).number == 1


def test_a_process_may_end_before_it_records_that_the_case_has_failed(runs: list[Claims], tmp_path: Path) -> None:
    for run in runs[:3]:
        claimed(run)
        kill(run)
    claim = claimed(runs[3])
    assert claim.number == 4
    assert runs[3].held("a") == claim
    with pytest.raises(ProcessDeathError):
        claim.check_attempts()
    kill(runs[3])
    last = Claims(tmp_path)
    assert claimed(last).number == 5
    last.close()
    assert list(tmp_path.iterdir()) == []


def test_a_fork_of_the_process_finds_its_claims(runs: list[Claims]) -> None:
    first, other = claimed(runs[0]), runs[1]
    copy = pickle.loads(pickle.dumps(runs[0]))  # noqa: S301 - of this test
    found = copy.held("a")
    assert found is not None
    assert (found.path, found.number) == (first.path, 1)
    assert copy.held("b") is None
    assert other.held("a") is None


@pytest.mark.parametrize("error", [None, errno.EPERM])
def test_a_json_is_written_once(error: int | None, runs: list[Claims], tmp_path: Path, monkeypatch: Any) -> None:
    """Without hard links, as on some network file systems, the claim is the only protection."""

    def link(source: Path, target: Path) -> None:
        raise OSError(error, "no links")

    if error:
        monkeypatch.setattr(os, "link", link)
    claim, path = claimed(runs[0]), tmp_path / "a.json"
    claim.commit(path, {"case": "a"})
    before = path.stat().st_mtime_ns
    with pytest.raises(ClaimLostError, match="a: another process has completed the case"):
        claim.commit(path, {"case": "b"})
    assert json.loads(path.read_text()) == {"case": "a"}
    assert path.stat().st_mtime_ns == before
    assert sorted(file.name for file in claim.folder.iterdir() if file.name.startswith(".")) == []


def test_the_name_of_a_case_may_be_long(runs: list[Claims], tmp_path: Path) -> None:
    name = "a" * 245
    claimed(runs[0], name).commit(tmp_path / f"{name}.json", {"case": name})
    assert json.loads((tmp_path / f"{name}.json").read_text()) == {"case": name}


def test_the_last_run_leaves_nothing(runs: list[Claims], tmp_path: Path) -> None:
    claimed(runs[0])
    claimed(runs[1], "b")
    kill(runs[0])
    runs[2].open()
    runs[2].close()
    assert sorted(path.name for path in runs[1].folder.iterdir()) == sorted(["b.1", f"{runs[1].token}.run"])
    runs[1].close()
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_is_closed_can_begin_again(runs: list[Claims]) -> None:
    claimed(runs[0])
    runs[0].close()
    runs[0].close()
    assert claimed(runs[0]).number == 1


def test_a_run_starts_when_the_first_of_those_that_run_started(runs: list[Claims]) -> None:
    runs[0].open()
    started = runs[0].started
    path = runs[0].folder / f"{runs[0].token}.run"
    path.write_text(json.dumps({**json.loads(path.read_text()), "started": started - 100}))
    runs[1].open()
    assert runs[1].started == started - 100
    kill(runs[0])
    kill(runs[1])
    runs[2].open()
    assert runs[2].started >= started


def test_a_run_that_is_just_beginning_has_no_start_yet(runs: list[Claims]) -> None:
    runs[0].open()
    path = runs[0].folder / f"{runs[0].token}.run"
    path.write_text(json.dumps({**json.loads(path.read_text()), "started": 0.0}))
    runs[1].open()
    assert runs[1].started > 0


def test_signs_of_life_are_given_and_a_removed_run_is_restored(tmp_path: Path) -> None:
    run = Claims(tmp_path, expiry=0.06)
    run.open()
    path = run.folder / f"{run.token}.run"
    path.unlink()
    for _ in range(500):
        if path.exists():
            break
        threading.Event().wait(0.01)
    assert json.loads(path.read_text())["started"] == run.started
    run.close()
    assert not path.exists()


def test_a_claim_that_is_being_written_is_held(runs: list[Claims]) -> None:
    runs[0].open()
    path = runs[0].folder / "a.1"
    path.touch()
    assert runs[0].take("a") is None
    path.write_text("[]")
    os.utime(path, (1, 1))
    assert claimed(runs[0]).number == 2
    assert not runs[0]._is_held(runs[0].folder / "gone.1", {})
    assert not runs[0]._is_alive("gone")


def test_a_claim_that_another_makes_at_the_same_moment_is_theirs(runs: list[Claims], monkeypatch: Any) -> None:
    claimed(runs[0])
    monkeypatch.setattr(runs[1], "_last", lambda case: (0, {}))
    assert runs[1].take("a") is None


def test_a_process_that_waits_for_its_parent_has_ended() -> None:
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    while module._start_time(child.pid) is not None:
        threading.Event().wait(0.01)
    assert Path(f"/proc/{child.pid}").exists()
    child.wait()
    assert module._start_time(os.getpid()) == module._start_time(os.getpid())


def test_without_the_files_of_linux_processes_are_known_by_their_signs_of_life(monkeypatch: Any) -> None:
    monkeypatch.setattr(os, "readlink", lambda path: (_ for _ in ()).throw(OSError()))
    module._machine.cache_clear()
    assert module._machine().startswith("unknown ")
    module._machine.cache_clear()


def test_the_end_of_the_process_ends_the_run(tmp_path: Path) -> None:
    code = f"from bundle.inference.claims import Claims; Claims({str(tmp_path)!r}).take('a')"
    command = [sys.executable, "-W", "ignore", "-c", code]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": ROOT})
    assert list(tmp_path.iterdir()) == []
