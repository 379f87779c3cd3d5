"""Peak memory of resampling, of this project and of MONAI, in volumes as float32 beyond the input.

python benchmarks/resample.py
"""

from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import Spacingd, Transform

from bundle.grid import ResampleSpacingd

SPACING = (0.8, 0.8, 1.0)
SIZE = (256, 256, 200)


def memory(field: str) -> int:
    """Return a field of this process's memory, in bytes."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))


def sample(size: tuple[int, ...]) -> dict[str, MetaTensor]:
    """Return a random image of voxels of ``SPACING`` mm."""
    return {"image": MetaTensor(torch.rand(1, *size), affine=torch.diag(torch.tensor([*SPACING, 1.0]).double()))}


def peak(transform: Transform) -> float:
    """Return the peak of ``transform`` beyond its input, in volumes of the input; the first call does not count."""
    transform(sample((32, 32, 32)))
    data = sample(SIZE)
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
    before = memory("VmRSS")
    transform(data)
    return (memory("VmHWM") - before) / (4 * float(np.prod(SIZE)))


def main() -> None:
    """Measure and print."""
    print(f"{SIZE} from {SPACING} to 1 mm, peak in volumes beyond the input")
    print(f"ResampleSpacingd {peak(ResampleSpacingd('image', (1, 1, 1))):.1f}")
    print(f"Spacingd  {peak(Spacingd('image', (1, 1, 1), padding_mode='border')):.1f}")


if __name__ == "__main__":
    main()
