"""Share of the network in the CPU time of a complete job.

Runs ``configs/inference.json``, from the file to the label map, on a volume of noise, and prints the share of the
process's CPU time that is spent inside the network. One thread; the plan is chosen on a first, small volume:

    python benchmarks/share.py --size 192 224 160
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from monai.bundle import create_workflow

from bundle import ROOT


def write_noise(file: Path, size: list[int], spacing: float) -> None:
    """Write smooth noise as a NIfTI file."""
    coarse = np.random.default_rng(0).normal(size=[-(-length // 4) for length in size])
    values = coarse.repeat(4, 0).repeat(4, 1).repeat(4, 2)[: size[0], : size[1], : size[2]]
    nib.save(nib.Nifti1Image(values.astype(np.float32), np.diag([spacing, spacing, spacing, 1])), file)


def run(folder: Path, output: Path, plan: str) -> tuple[float, float]:
    """Run the job on a folder; return the CPU seconds of the job and those inside the network."""
    spent = [0.0, 0.0]
    workflow = create_workflow(
        config_file=str(Path(ROOT, "configs", "inference.json")),
        workflow_type="infer",
        logging_file=False,
        **{"input": str(folder), "output_dir": str(output), "device": "cpu", "plan": plan},
    )
    network = workflow.parser.get_parsed_content("network")

    def before(*_: Any) -> None:
        spent[0] = time.thread_time()

    def after(*_: Any) -> None:
        spent[1] += time.thread_time() - spent[0]

    network.register_forward_pre_hook(before)
    network.register_forward_hook(after)
    start = time.process_time()
    workflow.run()
    return time.process_time() - start, spent[1]


def main() -> None:
    """Measure what the command line asks for and print the shares."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, nargs=3, default=[192, 224, 160])
    parser.add_argument("--spacing", type=float, default=1.0, help="voxel size in mm (default: 1)")
    parser.add_argument("--plan", default="auto")
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for folder, size in (("first", [44, 60, 44]), ("job", args.size)):
            (root / folder).mkdir()
            write_noise(root / folder / "volume.nii.gz", size, args.spacing if folder == "job" else 1.0)
        run(root / "first", root / "first_out", args.plan)
        total, inside = run(root / "job", root / "job_out", args.plan)
    print(f"{args.size} at {args.spacing} mm: {total:.1f} s of CPU time, {inside / total:.1%} inside the network")


if __name__ == "__main__":
    main()
