"""Cost of a cohort: throughput, overhead of the engine per case, summary and report of 20,000 results, long lists.

``python benchmarks/cohort.py`` prints CPU times, which other jobs on the machine do not change much, and next to them
the time on the clock. The idle share of the workers is the time between two cases in which a worker waits for the next
one; two workers reach twice the throughput of one less that share, where each has a core.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from bundle import ROOT
from bundle.cluster.connection import ClusterOptions, connect
from bundle.cluster.task_stream import TaskStream
from bundle.cohort.case_runner import Request, compute_case, create_inference, forget_runners
from bundle.data import list_cases
from bundle.inference.claims import Claims

CONFIG = str(Path(ROOT, "configs", "inference.json"))


def write_cases(folder: Path, count: int, size: int) -> None:
    """Write volumes of noise."""
    folder.mkdir(parents=True)
    draw = np.random.default_rng(0)
    for number in range(count):
        nib.save(
            nib.Nifti1Image(draw.random((size,) * 3, dtype=np.float32), np.eye(4)), folder / f"c{number:05d}.nii.gz"
        )


def request_for(folder: Path) -> Request:
    """Return the shipped model on crops, in float32."""
    options = {"plan": "fp32", "find_regions": False, "plausible_distance": None, "device": "cpu", "overlay": False}
    return Request((CONFIG,), {**options, "output_dir": str(folder)})


def in_one_process(cases: Path, out: Path) -> dict[str, float]:
    """Return CPU seconds and seconds per case of the ordinary workflow, without its start."""
    request = request_for(out)
    evaluator = create_inference(request, input=str(cases)).parser.get_parsed_content("evaluator")
    marks: list[tuple[float, float]] = []
    evaluator.add_event_handler("ITERATION_COMPLETED", lambda _: marks.append((time.process_time(), time.monotonic())))
    evaluator.run()
    (busy, clock), (busy_end, clock_end) = marks[0], marks[-1]
    count = len(marks) - 1
    return {"cpu": (busy_end - busy) / count, "clock": (clock_end - clock) / count}


def on_workers(cases: Path, out: Path, workers: int) -> dict[str, float]:
    """Return CPU seconds of the workers and of the engine, seconds, and the idle share, per case."""
    request, claims, listed = request_for(out), Claims(out), list(list_cases(cases))
    claims.open()
    with connect(ClusterOptions(workers=workers)) as client:
        for case in listed[: 2 * workers]:
            client.submit(compute_case, request, case).result()
        client.submit(time.sleep, 0).result()
        stream = TaskStream(client, partial(compute_case, request))
        before, engine, clock = client.run(time.process_time), time.process_time(), time.monotonic()
        client.get_task_stream(start=time.time())
        begun = time.time()
        outcomes = [outcome for _, outcome in stream.run(listed[2 * workers :])]
        clock = time.monotonic() - clock
        busy = sum(after - before[name] for name, after in client.run(time.process_time).items())
        engine = time.process_time() - engine
        tasks = client.get_task_stream(start=begun)
        client.run(forget_runners, request.digest)
    claims.close()
    count = len(outcomes)
    return {"cpu": busy / count, "engine": engine / count, "clock": clock / count, "idle": idle_share(tasks)}


def idle_share(tasks: Any) -> float:
    """Return the share of time between the first and the last task of each worker in which it computed none."""
    spans = defaultdict(list)
    for task in tasks:
        for step in task["startstops"]:
            if step["action"] == "compute":
                spans[task["worker"]].append((step["start"], step["stop"]))
    idle = whole = 0.0
    for steps in spans.values():
        steps.sort()
        idle += sum(max(later[0] - earlier[1], 0.0) for earlier, later in pairwise(steps))
        whole += steps[-1][1] - steps[0][0]
    return idle / whole


def throughput(folder: Path, count: int, size: int) -> None:
    """Print the cost per case in one process, on one worker and on two."""
    write_cases(folder / "in", count, size)
    one = in_one_process(folder / "in", folder / "here")
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores, {count} cases of {size} voxels a side")
    print(f"one process: {one['cpu'] * 1e3:.0f} ms of CPU per case, {one['clock'] * 1e3:.0f} ms on the clock")
    found = {workers: on_workers(folder / "in", folder / f"out{workers}", workers) for workers in (1, 2)}
    for workers, each in found.items():
        more = (each["cpu"] + each["engine"] - one["cpu"]) * 1e3
        print(
            f"{workers} worker(s): {each['cpu'] * 1e3:.0f} ms of CPU per case, scheduler and client "
            f"{each['engine'] * 1e3:.0f} ms, overhead {more:.0f} ms; {each['clock'] * 1e3:.0f} ms on the clock; "
            f"idle {each['idle']:.1%}"
        )
    possible = 2 * (1 - found[2]["idle"]) / (1 - found[1]["idle"]) * found[1]["cpu"] / found[2]["cpu"]
    print(f"two workers: {found[1]['clock'] / found[2]['clock']:.2f} times the throughput of one on the clock;")
    print(f"  {possible:.2f} times by their CPU time and idle share, which is what a machine with free cores gives")


def summary(folder: Path, count: int) -> None:
    """Print what the summary of many results takes, as measured in another process."""
    folder.mkdir()
    structure = dict.fromkeys(("volume_mm3", "margin", "entropy", "border_margin", "border_share"), 0.123456)
    record = {
        "input": "in/case.nii.gz",
        "labels": {name: {"value": 1, **structure} for name in ("left_a", "left_p", "right_a", "right_p")},
        "remarks": [],
        "seconds": 1.5,
        "versions": {"torch": "2.13.0", "monai": "1.6.1", "keyslice": "0.2.0"},
        "files": {f"file{number}": "0" * 64 for number in range(3)},
        "provenance": {"settings": "0" * 64, "input": "1" * 64},
    }
    for number in range(count):
        text = json.dumps({"case": f"case{number:06d}", **record}, indent=2)
        (folder / f"case{number:06d}.json").write_text(text + "\n")
    print(f"summary of {count} results: {_measured('summary', folder)}")
    print(f"report of {count} results: {_measured('report', folder)}")


def listing(folder: Path, count: int) -> None:
    """Print what the list of many files takes, as measured in another process."""
    folder.mkdir()
    for number in range(count):
        (folder / f"sub-{number:06d}_T1w.nii.gz").touch()
    manifest = folder.with_suffix(".csv")
    manifest.write_text("image\n" + "".join(f"{folder.name}/sub-{number:06d}_T1w.nii.gz\n" for number in range(count)))
    for name, path in (("folder", folder), ("manifest", manifest)):
        print(f"list of {count} files, {name}: {_measured('list', path)}")


SCRIPTS = {
    "summary": """
import sys, time
from bundle.cohort.summarize import summarize
clock = time.monotonic()
summarize(sys.argv[1])
peak = next(int(line.split()[1]) / 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(f"{time.process_time():.1f} s of CPU, {time.monotonic() - clock:.1f} s, peak memory {peak:.0f} MB")
""",
    "report": """
import sys, time
from bundle.review import write_report
def memory(name):
    return next(int(line.split()[1]) / 1024 for line in open("/proc/self/status") if line.startswith(name))
before, busy, clock = memory("VmRSS"), time.process_time(), time.monotonic()
page = write_report(sys.argv[1])
busy, clock = time.process_time() - busy, time.monotonic() - clock
more, size = memory("VmHWM") - before, page.stat().st_size / 1e6
print(f"{busy:.1f} s of CPU, {clock:.1f} s, {more:.0f} MB more than before, page of {size:.1f} MB")
""",
}
"""Without the imports of this script, as the commands run."""


def _measured(what: str, path: Path) -> str:
    start = ["-c", SCRIPTS[what]] if what in SCRIPTS else [__file__, "--measure", what]
    command = [sys.executable, "-W", "ignore", *start, str(path)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def measure(path: Path) -> None:
    """Print CPU time, time and memory of a list in this process."""
    before, busy, clock = _peak(), time.process_time(), time.monotonic()
    found: Any = list_cases(path)
    busy, clock = time.process_time() - busy, time.monotonic() - clock
    print(
        f"{busy:.1f} s of CPU, {clock:.1f} s, peak memory {_peak():.0f} MB, {_peak() - before:.0f} MB more than before"
    )
    del found


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=40)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--results", type=int, default=20_000)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--measure", nargs=2, metavar=("STEP", "PATH"), help="measure one step in this process")
    args = parser.parse_args()
    if args.measure:
        measure(Path(args.measure[1]))
        return
    with tempfile.TemporaryDirectory() as name:
        summary(Path(name, "results"), args.results)
        listing(Path(name, "many"), args.files)
        throughput(Path(name, "cohort"), args.cases, args.size)


if __name__ == "__main__":
    main()
