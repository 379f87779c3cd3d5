"""Inference on a large volume compared with MONAI's default pipeline: CPU time, peak memory, and voxels that differ.

    python benchmarks/inference.py                                             512 x 512 x 100, both pipelines
    python benchmarks/inference.py --size 512 512 600 --spacing 0.7 0.7 1 --limit 3   under an address space of 3 GiB
    python benchmarks/inference.py --depths 300 1200                           peak against the number of slices

Every pipeline runs in a separate process, with one thread, on the same file, windows and network: a 1 x 1 x 1
convolution that gives the class of the nearest mean intensity, so that what is measured is all but the network. MONAI's
is ``LoadImaged``, ``Orientationd``, ``Spacingd``, ``SlidingWindowInferer``, ``Invertd`` with interpolated scores,
arg-max and ``SaveImaged``; ours is ``LoadVolumed``, ``Orientationd``, ``ResampleSpacingd``, ``SlabInferer`` with
``LabelMapAssembler``, and ``SaveSegmentationd``. The peak is that of the process above what it takes before the file is
read.
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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from monai.data import MetaTensor, decollate_batch, list_data_collate
from monai.inferers import SlidingWindowInferer
from monai.transforms import (
    AsDiscrete,
    Compose,
    Invertd,
    LoadImaged,
    Orientationd,
    SaveImage,
    ScaleIntensityRanged,
    Spacingd,
)

from bundle.grid import LabelMapAssembler, ResampleSpacingd, SplitConfidenceMapsd
from bundle.inference import SaveSegmentationd, SlabInferer
from bundle.io import LoadVolumed

STEP = 1001
"""Intensity between the means of neighboring classes; odd, so that no voxel is exactly between two."""

TIE = 1e-3
"""Scores whose difference is below this share of the step between two classes count as tied."""


def write_phantom(path: Path, size: list[int], spacing: list[float], classes: int, kind: str) -> None:
    """Write a volume, int16: ellipsoids of one class each, or a smooth field that takes all values everywhere."""
    rng = np.random.default_rng(0)
    voxels = np.zeros(size, np.int16)
    axes = [np.arange(count, dtype=np.float32) for count in size]
    if kind == "field":
        waves = rng.uniform(0.01, 0.03, (6, 3)) * spacing, rng.uniform(0, 6, (6, 3))
        for plane in range(size[2]):
            parts = [
                np.multiply.outer(np.cos(f[0] * axes[0] + p[0]), np.cos(f[1] * axes[1] + p[1]))
                * np.cos(f[2] * plane + p[2])
                for f, p in zip(*waves, strict=True)
            ]
            voxels[:, :, plane] = (np.sum(parts, 0) / 4 + 0.5).clip(0, 1) * STEP * (classes - 1)
    for value in range(1, classes if kind == "organs" else 0):
        center = rng.uniform(0.15, 0.85, 3) * size
        radius = np.minimum(rng.uniform(15, 45, 3) / spacing, np.array(size) / 3)
        box = tuple(
            slice(max(int(c - r), 0), min(int(c + r) + 2, n)) for c, r, n in zip(center, radius, size, strict=True)
        )
        squares = [((axis[part] - c) / r) ** 2 for axis, part, c, r in zip(axes, box, center, radius, strict=True)]
        voxels[box][np.add.outer(np.add.outer(squares[0], squares[1]), squares[2]) <= 1] = STEP * value
    image = nib.Nifti1Image(voxels, np.diag([-spacing[0], -spacing[1], spacing[2], 1.0]))
    image.set_sform(image.affine, 1)
    nib.save(image, path)


class NearestMean(torch.nn.Module):
    """Scores ``(N, K, ...)`` that are largest for the class of the nearest mean; remembers the CPU time it takes."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        means = torch.arange(classes, dtype=torch.float32) / (classes - 1)
        self.conv = torch.nn.Conv3d(1, classes, 1)
        weight = (2 * means * (classes - 1)).reshape(-1, 1, 1, 1, 1)
        self.conv.load_state_dict({"weight": weight, "bias": -(means**2) * (classes - 1)})
        self.seconds = 0.0

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """Return the scores."""
        start = time.process_time()
        scores = self.conv(windows)
        self.seconds += time.process_time() - start
        return scores


def memory(field: str) -> int:
    """Return a field of this process's memory, in bytes."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))


class Stages:
    """CPU seconds of the stages of a run, and its peak memory above that at the start."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.restart()

    def restart(self) -> None:
        """Reset the peak."""
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
        self.base = memory("VmRSS")

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure one stage."""
        start = time.process_time()
        yield
        self.seconds[name] = time.process_time() - start

    def peak(self) -> int:
        """Return the peak so far, in bytes."""
        return memory("VmHWM") - self.base


def run_monai(args: argparse.Namespace, network: NearestMean, stages: Stages) -> None:
    """Run MONAI's default pipeline."""
    pre = Compose(
        [
            LoadImaged("image", ensure_channel_first=True),
            Orientationd("image", "RAS", labels=None),
            Spacingd("image", args.pixdim, mode="bilinear"),
            ScaleIntensityRanged("image", 0, STEP * (args.classes - 1), 0, 1),
        ]
    )
    with stages.stage("reading, resampling"):
        data = pre({"image": str(args.volume)})
    with stages.stage("sliding window"), torch.no_grad():
        inferer = SlidingWindowInferer(args.roi, overlap=args.overlap, mode="gaussian")
        pred = inferer(data["image"][None], network)[0]
        data["pred"] = MetaTensor(pred, meta=data["image"].meta)
        del pred
    with stages.stage("way back"):
        data = Invertd("pred", pre, orig_keys="image", nearest_interp=False)(data)
        data["pred"] = AsDiscrete(argmax=True)(data["pred"])
    with stages.stage("writing"):
        SaveImage(args.output, output_postfix="", output_dtype=np.uint8, separate_folder=False, print_log=False)(
            data["pred"]
        )


def run_keyslice(args: argparse.Namespace, network: NearestMean, stages: Stages) -> None:
    """Run the pipeline of this project."""
    pre = Compose(
        [
            LoadVolumed("image"),
            Orientationd("image", "RAS", labels=None),
            ResampleSpacingd("image", args.pixdim),
            ScaleIntensityRanged("image", 0, STEP * (args.classes - 1), 0, 1),
        ]
    )
    with stages.stage("reading, resampling"):
        data = pre({"image": str(args.volume)})
    with stages.stage("sliding window"), torch.no_grad():
        assembler = LabelMapAssembler(confidence=args.confidence)
        batch = list_data_collate([data])
        inferer = SlabInferer(args.roi, overlap=args.overlap, spread="scan", assembler=assembler)
        data["pred"] = decollate_batch(inferer(batch["image"], network))[0]
    with stages.stage("writing"):
        names = {str(value): value for value in range(1, args.classes)}
        data = SplitConfidenceMapsd("pred", names=args.confidence)(data)
        SaveSegmentationd("pred", label_names=names, output_dir=args.output, maps=args.confidence)(
            {**data, "case": "volume"}
        )


def run_depth(args: argparse.Namespace, network: NearestMean, stages: Stages) -> None:
    """Run only the inferer and the restoring of the original grid, on an image that is already loaded."""
    size = args.size
    affine, original = (torch.diag(torch.tensor([*step, 1.0]).double()) for step in (args.pixdim, args.spacing))
    shape = [round((n - 1) * s / p) + 1 for n, s, p in zip(size, args.spacing, args.pixdim, strict=True)]
    meta = {"affine": affine, "original_affine": original, "spatial_shape": np.array(size)}
    image = MetaTensor(torch.linspace(0, 1, shape[2]).expand(1, 1, *shape).contiguous(), meta=meta)
    stages.restart()
    with stages.stage("sliding window"), torch.no_grad():
        result = SlabInferer(args.roi, overlap=args.overlap, assembler=LabelMapAssembler())(image, network)
    stages.base += result.numel()


RUNS: dict[str, Callable[[argparse.Namespace, NearestMean, Stages], None]] = {
    "monai": run_monai,
    "keyslice": run_keyslice,
    "depth": run_depth,
}


def child(args: argparse.Namespace) -> None:
    """Run one pipeline under the limit and write what it took."""
    if args.limit:
        resource.setrlimit(resource.RLIMIT_AS, (int(args.limit * 2**30), int(args.limit * 2**30)))
    torch.set_num_threads(1)
    network = NearestMean(args.classes).eval()
    stages = Stages()
    RUNS[args.run](args, network, stages)
    found = {"seconds": stages.seconds, "network": network.seconds, "peak": stages.peak()}
    args.record.write_text(json.dumps(found), encoding="utf-8")


def start(run: str, folder: Path, arguments: list[str]) -> dict[str, Any] | None:
    """Run a pipeline in a separate process; return its measurements, or None when it failed."""
    record = folder / f"{run}.json"
    record.unlink(missing_ok=True)
    command = [sys.executable, "-W", "ignore", __file__, *arguments, "--run", run, "--record", str(record)]
    command += ["--volume", str(folder / "volume.nii.gz"), "--output", str(folder / run)]
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    if done.returncode:
        print(f"{run} failed: {done.stderr.strip().splitlines()[-1][:200] if done.stderr.strip() else done.returncode}")
        return None
    return json.loads(record.read_text(encoding="utf-8"))


def margins(volume: Path, places: np.ndarray, args: argparse.Namespace) -> np.ndarray:
    """Return the difference of the two best scores at voxels ``(N, 3)`` of the file, in steps between classes.

    In float64: scores are affine in the intensity, so those of the interpolated intensity are the interpolated scores.
    """
    pre = Compose(
        [LoadVolumed("image"), Orientationd("image", "RAS", labels=None), ResampleSpacingd("image", args.pixdim)]
    )
    image = pre({"image": str(volume)})["image"]
    matrix = np.linalg.inv(image.affine.numpy()) @ np.asarray(image.meta["original_affine"])
    position = places @ matrix[:3, :3].T + matrix[:3, 3]
    last = np.array(image.shape[1:]) - 1
    position = np.clip(position, 0, last)
    low = np.minimum(np.floor(position).astype(int), np.maximum(last - 1, 0))
    share, values = position - low, np.zeros(len(places))
    for corner in np.ndindex(2, 2, 2):
        index = np.minimum(low + corner, last)
        weight = np.where(corner, share, 1 - share).prod(1)
        values += weight * image[0].numpy()[tuple(index.T)].astype(float)
    values /= STEP
    return np.abs((values % 1) - 0.5) * 2


def compare(folder: Path, args: argparse.Namespace) -> None:
    """Print where the label maps of both pipelines differ."""
    ours = np.asanyarray(nib.load(folder / "keyslice" / "volume_seg.nii.gz").dataobj)  # type: ignore[attr-defined]
    peer = np.asanyarray(nib.load(folder / "monai" / "volume.nii.gz").dataobj)  # type: ignore[attr-defined]
    places = np.argwhere(ours != peer)
    line = f"voxels different: {len(places)} of {ours.size}, {1e5 * len(places) / ours.size:.2f} in 100,000"
    if len(places):
        apart = margins(folder / "volume.nii.gz", places, args)
        line += f"; ties: {np.count_nonzero(apart < TIE)}, the widest margin {apart.max():.1e} of a class step"
    print(line)


def report(found: dict[str, dict[str, Any]]) -> None:
    """Print CPU time and peak memory of the pipelines."""
    for name, run in found.items():
        rest = sum(run["seconds"].values()) - run["network"]
        stages = ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in run["seconds"].items())
        print(f"{name:9} CPU {rest:6.1f} s in addition to the network's {run['network']:.1f} s ({stages})")
        print(f"{name:9} peak {run['peak'] / 2**20:.0f} MiB")
    if len(found) == 2:
        peer, ours = found["monai"], found["keyslice"]
        rest = [sum(run["seconds"].values()) - run["network"] for run in (ours, peer)]
        print(f"ratio: CPU 1/{rest[1] / rest[0]:.1f}, peak 1/{peer['peak'] / ours['peak']:.1f}")


def options() -> argparse.ArgumentParser:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, nargs=3, default=[512, 512, 100])
    parser.add_argument("--spacing", type=float, nargs=3, default=[0.7, 0.7, 3.0])
    parser.add_argument("--pixdim", type=float, nargs=3, default=[1.5, 1.5, 1.5])
    parser.add_argument("--roi", type=int, nargs=3, default=[96, 96, 96])
    parser.add_argument("--overlap", type=float, default=0.25)
    parser.add_argument("--classes", type=int, default=25)
    parser.add_argument("--phantom", choices=["organs", "field"], default="organs")
    parser.add_argument("--confidence", nargs="*", default=[], help="maps to make on our side")
    parser.add_argument("--limit", type=float, default=0, help="address space in GiB")
    parser.add_argument("--only", choices=["keyslice", "monai"], help="one pipeline alone")
    parser.add_argument("--depths", type=int, nargs="+", help="numbers of slices whose peaks to print")
    for hidden in ("--run", "--record", "--volume", "--output"):
        parser.add_argument(hidden, type=str if hidden == "--run" else Path, help=argparse.SUPPRESS)
    return parser


def main() -> None:
    """Measure and print."""
    args = options().parse_args()
    if args.run:
        child(args)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for depth in args.depths or []:
            size = [*map(str, [*args.size[:2], depth])]
            run = start("depth", folder, [*sys.argv[1:], "--spacing", "0.7", "0.7", "1", "--size", *size])
            if run:
                print(f"{depth} slices: peak {run['peak'] / 2**20:.0f} MiB in addition to the image and its labels")
        if args.depths:
            return
        write_phantom(folder / "volume.nii.gz", args.size, args.spacing, args.classes, args.phantom)
        print(f"{args.size} at {args.spacing} mm on a grid of {args.pixdim} mm, {args.classes} classes, {args.phantom}")
        runs = {
            side: start(side, folder, sys.argv[1:]) for side in ([args.only] if args.only else ["monai", "keyslice"])
        }
        found = {side: run for side, run in runs.items() if run}
        report(found)
        if len(found) == 2:
            compare(folder, args)


if __name__ == "__main__":
    main()
