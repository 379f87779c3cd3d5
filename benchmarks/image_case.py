"""CPU time of segmenting the lesion of one large image, from the file to all results.

Runs ``configs/lesion_segmentation/inference.json`` on a drawn image of 4288 x 2848 pixels (or on ``--file``) and
prints the CPU seconds of the process, imports and a first, small image excluded: as by default, without overlay and
probability map, and with tiles. One thread; the minimum of several repeats:

    python benchmarks/image_case.py --repeats 3
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.bundle import create_workflow
from PIL import Image

from bundle import ROOT

WAYS: dict[str, dict[str, Any]] = {
    "as by default": {},
    "mask alone": {"overlay": False, "probability": False},
    "tiles of 1024": {"tile_size": 1024},
}


def draw_image(file: Path, width: int, height: int) -> None:
    """Write a dark spot on noisy skin."""
    rows, columns = np.mgrid[:height, :width]
    distance = np.hypot((rows - height / 2) / height, (columns - width / 2) / width)
    pixels = np.where((distance < 0.25)[..., None], [110, 70, 55], [222, 184, 160])
    pixels = pixels + np.random.default_rng(0).normal(0, 8, (height, width, 3))
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(file, quality=92)


def run(file: Path, output: Path, **options: Any) -> float:
    """Segment an image; return the CPU seconds, including those of building the workflow."""
    start = time.process_time()
    create_workflow(
        config_file=str(Path(ROOT, "configs", "lesion_segmentation", "inference.json")),
        workflow_type="infer",
        logging_file=False,
        input=str(file),
        output_dir=str(output),
        device="cpu",
        **options,
    ).run()
    return time.process_time() - start


def main() -> None:
    """Measure and print the seconds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--file", type=Path, help="image to segment (default: a drawn one)")
    parser.add_argument("--repeats", type=int, default=3, help="repeats (default: 3)")
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        small, file = root / "small.jpg", args.file or root / "drawn.jpg"
        draw_image(small, 320, 240)
        if args.file is None:
            draw_image(file, 4288, 2848)
        run(small, root / "first")
        for way, options in WAYS.items():
            seconds = [run(file, root / f"{way}{number}", **options) for number in range(args.repeats)]
            print(f"{file.name}, {way}: {min(seconds):.2f} s of CPU time, at most {max(seconds):.2f}")


if __name__ == "__main__":
    main()
