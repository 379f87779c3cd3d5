"""CPU time of labeling the discs of one volume, from the file to all results.

Runs ``configs/disc_labeling/inference.json`` on a phantom of 381 x 381 x 39 voxels of 1 x 1 x 2 mm (or of
``--file``) and prints the CPU seconds of the process, imports and the first, small volume that warms it up excluded.
One thread; the minimum of several repeats, with the figure and without:

    python benchmarks/disc_case.py --repeats 5
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import nibabel as nib
import torch
from monai.bundle import create_workflow

from bundle import ROOT
from bundle.phantoms.spine.spine_phantom import draw_spine_phantom


def write_phantom(file: Path, shape: tuple[int, int, int], spacing: tuple[float, float, float]) -> None:
    """Write a phantom; its axes run down, backward and to the right, as those of sagittal scans do."""
    phantom = draw_spine_phantom(
        seed=0, contrast="t2", field_of_view="thoracolumbar", shape=shape, spacing=spacing, orientation="IPR"
    )
    nib.save(nib.Nifti1Image((phantom.voxels * 1000).astype("int16"), phantom.affine), file)


def run(file: Path, output: Path, *, figure: bool) -> tuple[float, int]:
    """Label a volume; return the CPU seconds, including those of building the workflow, and the number of discs."""
    start = time.process_time()
    options: dict[str, Any] = {"input": str(file), "output_dir": str(output), "device": "cpu", "figure": figure}
    workflow = create_workflow(
        config_file=str(Path(ROOT, "configs", "disc_labeling", "inference.json")),
        workflow_type="infer",
        logging_file=False,
        **options,
    )
    workflow.run()
    seconds = time.process_time() - start
    result = workflow.parser.get_parsed_content("evaluator").records[0].to_json()
    return seconds, len(result["discs"])


def main() -> None:
    """Measure and print the seconds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--file", type=Path, help="volume to label (default: a phantom)")
    parser.add_argument("--repeats", type=int, default=5, help="repeats (default: 5)")
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        small, file = root / "small.nii.gz", args.file or root / "phantom.nii.gz"
        write_phantom(small, (15, 120, 160), (4.0, 1.5, 1.5))
        if args.file is None:
            write_phantom(file, (39, 381, 381), (2.0, 1.0, 1.0))
        run(small, root / "first", figure=True)
        for figure in (False, True):
            runs = [run(file, root / f"out{figure}{number}", figure=figure) for number in range(args.repeats)]
            seconds, discs = min(runs)
            state = "with" if figure else "without"
            print(f"{file.name}, {state} the figure: {seconds:.2f} s of CPU time, {discs} discs")


if __name__ == "__main__":
    main()
