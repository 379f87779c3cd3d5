"""Predicted against measured peak memory and time of a planned training, on datasets in the raw layout of nnU-Net.

    python benchmarks/planning.py RAW [RAW ...] --memory 4G

For every folder, ``python -m bundle plan`` chooses and measures, and ``configs/train.json`` runs one epoch of
``--iterations`` steps and a validation. Printed are the peak of the resident memory, and the seconds of the epoch on
the clock and of CPU time, predicted and measured, with their ratios. Those on the clock can be compared only if nothing
else runs on the machine; the CPU time also holds the start of the epoch and the saving of the weights.

``--single IMAGE[,IMAGE...]:LABEL:CHANNEL[,CHANNEL...]`` makes such a folder of ``--copies`` copies of one labeled
volume, whose channels are the images. ``--phantoms NAME[,LAYOUT]`` makes a phantom in the layout of a dataset.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np

from bundle import ROOT
from bundle.phantoms.volumes.volume_phantoms import Layout, write_volume_phantoms

LISTED = {"bids": ["--suffixes", "FLAIR", "T1w"], "brats2018": [], "hvsmr": [], "malc": []}
"""Phantoms that ``prepare`` lists first, and its options."""

ENVIRONMENT = {**os.environ, "PYTHONPATH": ROOT, "OMP_NUM_THREADS": "1"}
PEAK = """
import atexit, resource, runpy, sys, time
from ignite.engine import Engine
run, busy = Engine.run, []
def timed(*args, **kwargs):
    start = time.process_time()
    try:
        return run(*args, **kwargs)
    finally:
        busy.append(time.process_time() - start)
Engine.run = timed
def report():
    print("PEAK", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2, busy[-1], flush=True)
atexit.register(report)
sys.argv = ["monai.bundle", *sys.argv[1:]]
runpy.run_module("monai.bundle", run_name="__main__")
"""
"""Runs ``monai.bundle`` and prints the peak of its memory in GB and the CPU seconds of the trainer, which ends last."""


def write_copies(folder: Path, text: str, copies: int) -> Path:
    """Write copies of one labeled volume in the raw layout of nnU-Net."""
    files, label, names = text.split(":")
    for part in ("imagesTr", "labelsTr"):
        (folder / part).mkdir(parents=True)
    for copy in range(copies):
        for channel, file in enumerate(files.split(",")):
            shutil.copy(file, folder / "imagesTr" / f"case{copy}_{channel:04}.nii.gz")
        shutil.copy(label, folder / "labelsTr" / f"case{copy}.nii.gz")
    values = np.unique(np.asarray(nib.Nifti1Image.from_filename(label).dataobj))
    labels = {"background": 0, **{f"structure{value:g}": int(value) for value in values if value > 0}}
    channels = {str(place): name for place, name in enumerate(names.split(","))}
    content = {"channel_names": channels, "labels": labels, "file_ending": ".nii.gz"}
    (folder / "dataset.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def write_phantom(folder: Path, name: str, layout: Layout, size: int) -> Path:
    """Write a phantom in the layout of a dataset, with its list where the layout needs one."""
    write_volume_phantoms(name, folder, layout=layout, count=6, size=size, seed=0)
    if name in LISTED:
        run(["-m", "bundle", "prepare", name, str(folder), "--folds", "2", *LISTED[name]])
    return folder


def run(words: list[str]) -> str:
    """Run Python and return its output.

    Raises:
        SystemExit: if it fails.
    """
    command = [sys.executable, "-W", "ignore", *words]
    done = subprocess.run(command, env=ENVIRONMENT, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(words[:6])} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def compare(dataset: Path, out: Path, memory: str, iterations: int) -> None:
    """Plan and train, and print what was predicted and measured."""
    run(
        ["-m", "bundle", "plan", str(dataset), "--output_dir", str(out / "plan"), "--memory", memory, "--device", "cpu"]
    )
    chosen = json.loads((out / "plan" / "choices.json").read_text(encoding="utf-8"))
    plan, measured = out / "plan" / "plan.json", chosen["measured"]
    overlay = json.loads(plan.read_text(encoding="utf-8"))
    training = json.loads(Path(overlay["datalist"]).read_text(encoding="utf-8"))["training"]
    validation = sum(item["fold"] == 0 for item in training)
    options = ["--epochs", "1", "--iterations_per_epoch", str(iterations), "--val_interval", "1", "--warmup", "0"]
    configs = f"['configs/train.json','{plan}']"
    shown = run(["-c", PEAK, "run", "--config_file", configs, "--output_dir", str(out / "model"), *options])
    line = next(line for line in shown.splitlines() if line.startswith("PEAK"))
    peak, busy = map(float, line.split()[1:])
    with open(out / "model" / "curves.csv", newline="", encoding="utf-8") as stream:
        seconds = float(next(csv.DictReader(stream))["seconds"])
    expected, expected_cpu = (
        iterations * measured[f"step_{name}"] + validation * measured[f"validation_{name}"]
        for name in ("seconds", "cpu_seconds")
    )
    print(
        f"{dataset.name}: patch {overlay['roi_size']}, spacing {overlay['pixdim']}; "
        f"peak {chosen['predicted']['peak_gb']:.2f} GB predicted, {peak:.2f} measured, "
        f"ratio {chosen['predicted']['peak_gb'] / peak:.2f}; "
        f"epoch {expected:.1f} s predicted, {seconds:.1f} measured, ratio {expected / seconds:.2f}; "
        f"CPU {expected_cpu:.1f} s predicted, {busy:.1f} measured, ratio {expected_cpu / busy:.2f}",
        flush=True,
    )


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("datasets", nargs="*", type=Path)
    parser.add_argument("--single", action="append", default=[], metavar="IMAGES:LABEL:CHANNELS")
    parser.add_argument("--phantoms", action="append", default=[], metavar="NAME[,LAYOUT]")
    parser.add_argument("--size", type=int, default=64, help="voxels per side of phantoms (default: %(default)s)")
    parser.add_argument("--copies", type=int, default=4)
    parser.add_argument("--memory", default="4G")
    parser.add_argument("--iterations", type=int, default=8)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        datasets = list(args.datasets)
        for number, text in enumerate(args.single):
            name = Path(text.split(":")[1]).name.split(".")[0]
            datasets.append(write_copies(Path(folder, f"{number}_{name}"), text, args.copies))
        for text in args.phantoms:
            name, _, layout = text.partition(",")
            target = Path(folder, f"{name}_{layout or 'released'}")
            datasets.append(write_phantom(target, name, layout or "released", args.size))
        for number, dataset in enumerate(datasets):
            compare(dataset.resolve(), Path(folder, f"out{number}"), args.memory, args.iterations)


if __name__ == "__main__":
    main()
