"""Peak memory and time of the inference config on a large volume, in units of the volume as float32.

    python benchmarks/memory.py --size 512 512 300 --spacing 1 1 1

Two runs of ``configs/inference.json`` in processes of their own, on a small phantom and on the large one; the
difference of their peaks is what the large volume costs, without the interpreter, the packages and the network.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import nibabel as nib
import numpy as np

from bundle import ROOT


def write_phantom(path: Path, size: list[int], spacing: list[float]) -> None:
    """Write a volume of smooth noise, int16, slab by slab so that making it takes little memory."""
    rng = np.random.default_rng(0)
    voxels = np.empty(size, np.int16)
    for index in range(size[0]):
        voxels[index] = rng.normal(1000 + index, 100, size[1:])
    image = nib.Nifti1Image(voxels, np.diag([*spacing, 1.0]))
    image.set_sform(image.affine, 1)
    nib.save(image, path)


def peak_of_run(volume: Path, output: Path, overrides: list[str]) -> tuple[float, float]:
    """Run the inference config on ``volume``; return its peak resident memory in bytes and its seconds."""
    config = str(Path(ROOT, "configs", "inference.json"))
    command = [sys.executable, "-W", "ignore", "-m", "monai.bundle", "run", "--config_file", config]
    command += ["--input", str(volume), "--output_dir", str(output), *overrides]
    start = time.perf_counter()
    process = os.posix_spawn(sys.executable, command, os.environ)
    _, status, usage = os.wait4(process, 0)
    if status:
        raise SystemExit(f"the run on {volume} failed with the status {status}")
    return usage.ru_maxrss * 1024.0, time.perf_counter() - start


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, nargs=3, default=[512, 512, 300])
    parser.add_argument("--spacing", type=float, nargs=3, default=[1.0, 1.0, 1.0])
    args, overrides = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_phantom(root / "small.nii.gz", [48, 48, 48], [1.0, 1.0, 1.0])
        write_phantom(root / "large.nii.gz", args.size, args.spacing)
        base, _ = peak_of_run(root / "small.nii.gz", root / "out", overrides)
        peak, seconds = peak_of_run(root / "large.nii.gz", root / "out", overrides)
    volume = float(np.prod(args.size)) * 4
    print(f"volume {args.size} at {args.spacing} mm: {volume / 1e6:.0f} MB as float32")
    print(f"peak {peak / 1e6:.0f} MB, of a small volume {base / 1e6:.0f} MB, in {seconds:.0f} s")
    print(f"the large volume is held {(peak - base) / volume:.2f} times as float32")


if __name__ == "__main__":
    main()
