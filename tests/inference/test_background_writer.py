"""BackgroundWriter writes in another thread, in order, with few jobs waiting, and fails case by case."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from bundle import ROOT
from bundle.inference import BackgroundWriter, CaseRecord
from bundle.inference.background_writer import run_or_submit


def case(name: str) -> CaseRecord:
    return CaseRecord(name, f"{name}.nii.gz")


def test_jobs_are_done_in_order_in_another_thread() -> None:
    writer, threads, done = BackgroundWriter(), set(), []

    def job(number: int) -> None:
        threads.add(threading.current_thread())
        done.append(number)

    for number in range(9):
        writer.submit(case(str(number)), lambda number=number: job(number))
    writer.finish()
    assert done == list(range(9))
    assert len(threads) == 1
    assert threading.current_thread() not in threads


@pytest.mark.parametrize("waiting", [0, 1, 3])
def test_the_caller_waits_when_enough_jobs_wait(waiting: int) -> None:
    writer, gate, taken, done = BackgroundWriter(waiting=waiting), threading.Event(), [], []

    def fill() -> None:
        for number in range(waiting + 2):
            writer.submit(case(str(number)), lambda: done.append(gate.wait(10)))
            taken.append(number)

    caller = threading.Thread(target=fill)
    caller.start()
    caller.join(0.3)
    assert caller.is_alive()
    assert len(taken) == waiting + 1
    gate.set()
    caller.join(10)
    writer.finish()
    assert done == [True] * (waiting + 2)


def test_a_job_that_raises_makes_its_case_fail_and_the_others_continue() -> None:
    def full() -> None:
        raise OSError(28, "No space left on device")

    writer, written, records = BackgroundWriter(), [], [case(name) for name in "abc"]
    writer.on_written = written.append
    for record in records:
        writer.submit(record, full if record.case == "b" else lambda record=record: record.complete({}))
    writer.finish()
    assert [record.status for record in records] == ["completed", "failed", "completed"]
    assert (records[1].error, records[1].file) == ("OSError", "b.nii.gz")
    assert written == ["a", "b", "c"]


def test_a_record_that_cannot_be_settled_blocks_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(record: CaseRecord) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(CaseRecord, "settle", fail)
    writer, done = BackgroundWriter(waiting=0), []
    caller = threading.Thread(
        target=lambda: [writer.submit(case(name), lambda name=name: done.append(name)) for name in "ab"], daemon=True
    )
    caller.start()
    caller.join(10)
    writer.finish()
    assert done == ["a", "b"]


def test_without_a_writer_a_job_runs_at_once() -> None:
    done: list[str] = []
    run_or_submit(None, case("a"), lambda: done.append("now"))
    assert done == ["now"]
    writer = BackgroundWriter()
    run_or_submit(writer, case("a"), lambda: done.append(threading.current_thread().name))
    writer.finish()
    assert done[1].startswith("writer")


@pytest.mark.slow
def test_jobs_that_were_taken_are_done_before_the_process_ends(tmp_path: Path) -> None:
    program = f"""
import sys, time
from pathlib import Path
from bundle.inference import BackgroundWriter, CaseRecord

def job(name):
    time.sleep(0.1)
    Path({str(tmp_path)!r}, name).touch()

writer = BackgroundWriter(waiting=3)
for name in "abc":
    writer.submit(CaseRecord(name), lambda name=name: job(name))
sys.exit(7)
"""
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False)
    assert run.returncode == 7
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "c"]


def test_a_negative_number_is_refused() -> None:
    with pytest.raises(ValueError, match="waiting must be 0 or more jobs, got -1"):
        BackgroundWriter(waiting=-1)


def test_the_thread_ends_with_the_jobs_and_the_next_job_starts_another() -> None:
    writer, done = BackgroundWriter(), []
    writer.finish()
    for number in range(2):
        before = threading.active_count()
        writer.submit(case(str(number)), lambda number=number: done.append(number))
        writer.finish()
        assert threading.active_count() == before
    assert done == [0, 1]
