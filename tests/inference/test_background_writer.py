"""BackgroundWriter writes beside the caller, in order, with few jobs waiting, and fails case by case."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from bundle import ROOT
from bundle.inference import BackgroundWriter


def case(name: str) -> dict[str, str]:
    return {"case": name, "image": f"{name}.nii.gz"}


def test_jobs_are_done_in_order_in_another_thread() -> None:
    writer, threads = BackgroundWriter(), set()

    def job(number: int) -> dict[str, Any]:
        threads.add(threading.current_thread())
        return {"case": number}

    for number in range(9):
        writer.submit(case(str(number)), lambda number=number: job(number))
    writer.finish()
    assert writer.results == [{"case": number} for number in range(9)]
    assert len(threads) == 1
    assert threading.current_thread() not in threads


@pytest.mark.parametrize("waiting", [0, 1, 3])
def test_the_caller_waits_when_enough_jobs_wait(waiting: int) -> None:
    writer, gate, taken = BackgroundWriter(waiting=waiting), threading.Event(), []

    def fill() -> None:
        for number in range(waiting + 2):
            writer.submit(case(str(number)), lambda: {"open": gate.wait(10)})
            taken.append(number)

    caller = threading.Thread(target=fill)
    caller.start()
    caller.join(0.3)
    assert caller.is_alive()
    assert len(taken) == waiting + 1
    gate.set()
    caller.join(10)
    writer.finish()
    assert writer.results == [{"open": True}] * (waiting + 2)


def test_a_job_that_fails_is_a_failure_of_its_case_and_the_others_go_on() -> None:
    def full() -> dict[str, Any]:
        raise OSError(28, "No space left on device")

    writer, written = BackgroundWriter(), []
    writer.on_written = written.append
    for name, job in (("a", dict), ("b", full), ("c", dict)):
        writer.submit(case(name), job)
    writer.finish()
    assert writer.results == [{}, {}]
    assert [(failure["case"], failure["file"], failure["error"]) for failure in writer.failures] == [
        ("b", "b.nii.gz", "OSError")
    ]
    assert written == ["a", "b", "c"]


def test_a_second_run_starts_anew() -> None:
    writer = BackgroundWriter()
    writer.submit(case("a"), dict)
    writer.submit(case("b"), lambda: {}["x"])
    writer.restart()
    assert writer.results == writer.failures == []
    writer.submit(case("c"), dict)
    writer.finish()
    assert writer.results == [{}]


def test_jobs_that_were_taken_are_done_before_the_process_ends(tmp_path: Path) -> None:
    program = f"""
import sys, time
from pathlib import Path
from bundle.transforms import BackgroundWriter

def job(name):
    time.sleep(0.1)
    Path({str(tmp_path)!r}, name).touch()
    return {{}}

writer = BackgroundWriter(waiting=3)
for name in "abc":
    writer.submit({{"case": name, "image": ""}}, lambda name=name: job(name))
sys.exit(7)
"""
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False)
    assert run.returncode == 7
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "c"]


def test_a_negative_number_is_refused() -> None:
    with pytest.raises(ValueError, match="waiting must be 0 or more jobs, got -1"):
        BackgroundWriter(waiting=-1)
