"""CPU time, wall time and peak memory of one head, from the file to all results, also next to another tool.

    python benchmarks/whole_head.py --head HEAD.nii.gz --repeats 5
    python benchmarks/whole_head.py --head HEAD.nii.gz --peer "hippodeep.sh {image} {output}"

Measured are complete processes of ``configs/inference.json`` with one thread: on one head, and on a folder of copies.
The difference per additional head is the cost without the start of the process. ``--peer`` is the command of another
tool, with the places of the image, a copy in a folder that the tool may write to, and of a folder for results. A first
run of each, which is not counted, caches the plan and reads the files. Then they alternate; the values are minima.

CPU time is that of user and system, with all child processes. Peak memory is that of the largest process.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bundle import ROOT

TEMPLATE = "import nibabel, sys; from bundle.cli.demo import load_template; nibabel.save(load_template(), sys.argv[1])"
"""Writes the default head; in a separate process, as the peak of a process begins with that of its parent."""

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


@dataclass(frozen=True)
class Cost:
    """CPU seconds, wall seconds and peak resident memory in MB."""

    cpu: float
    wall: float
    peak: float


def measure(command: list[str]) -> Cost:
    """Run a command and return its cost.

    Raises:
        SystemExit: if the command fails.
    """
    with tempfile.TemporaryFile() as log:
        start = time.perf_counter()
        process = subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, env={**os.environ, **ONE_THREAD}, cwd=ROOT
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            log.seek(0)
            text = log.read().decode(errors="replace")[-3000:]
            raise SystemExit(f"{text}\n{shlex.join(command)} failed with the status {process.returncode}")
    return Cost(usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss * 1024 / 1e6)


def least(costs: list[Cost]) -> Cost:
    """Return the minimum of every value."""
    return Cost(min(cost.cpu for cost in costs), min(cost.wall for cost in costs), min(cost.peak for cost in costs))


def inference(source: Path, output: Path) -> list[str]:
    """Return the command of the inference config."""
    config = str(Path(ROOT, "configs", "inference.json"))
    command = [sys.executable, "-W", "ignore", "-m", "monai.bundle", "run", "--config_file", config]
    return [*command, "--input", str(source), "--output_dir", str(output), "--device", "cpu"]


def prepare(root: Path, head: Path | None, count: int) -> tuple[Path, Path]:
    """Return a copy of the head, and a folder of ``count`` copies."""
    image, copies = root / "one" / "head.nii.gz", root / "copies"
    for folder in (image.parent, copies):
        folder.mkdir()
    if head is None:
        subprocess.run([sys.executable, "-W", "ignore", "-c", TEMPLATE, str(image)], check=True, cwd=ROOT)
    else:
        image = image.with_name(head.name)
        shutil.copy(head, image)
    for number in range(count):
        shutil.copy(image, copies / f"copy{number}_{image.name}")
    return image, copies


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--head", type=Path, help="head to segment (default: the MNI152 T1 template)")
    parser.add_argument("--repeats", type=int, default=3, help="repeats (default: 3)")
    parser.add_argument("--more", type=int, default=4, help="additional heads of the run on a folder (default: 4)")
    parser.add_argument("--peer", help="command of another tool, with {image} and {output}")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        image, copies = prepare(root, args.head, args.more + 1)
        commands = {"one": inference(image, root / "out"), "folder": inference(copies, root / "outs")}
        if args.peer:
            results = root / "peer"
            results.mkdir()
            commands["peer"] = [word.format(image=image, output=results) for word in shlex.split(args.peer)]
        for command in commands.values():
            measure(command)
        costs: dict[str, list[Cost]] = {kind: [] for kind in commands}
        for _ in range(args.repeats):
            for kind, command in commands.items():
                costs[kind].append(measure(command))
    report({kind: least(values) for kind, values in costs.items()}, args.more)


def report(costs: dict[str, Cost], more: int) -> None:
    """Print the costs, and their ratios to those of the peer."""
    one, folder = costs["one"], costs["folder"]
    cpu, wall = (folder.cpu - one.cpu) / more, (folder.wall - one.wall) / more
    print(f"one head, complete process: {one.cpu:.2f} CPU-s, {one.wall:.2f} s, {one.peak:.0f} MB")
    print(f"each further head: {cpu:.2f} CPU-s, {wall:.2f} s; {more + 1} heads: {folder.peak:.0f} MB")
    if "peer" in costs:
        peer = costs["peer"]
        print(f"peer: {peer.cpu:.2f} CPU-s, {peer.wall:.2f} s, {peer.peak:.0f} MB")
        print(f"complete process / peer: CPU time {one.cpu / peer.cpu:.3f}, memory {one.peak / peer.peak:.3f}")
        print(f"each further head / peer: CPU time {cpu / peer.cpu:.3f}")


if __name__ == "__main__":
    main()
