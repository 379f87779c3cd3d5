"""CPU time and peak memory of ``keyslice-run`` on one image, compared with the workflow; alternating cold processes.

Exports the shipped hippocampus model, which takes minutes, or takes that of ``--model``, and runs both on ``--image``,
by default a crop with noise. ``--plan`` is that of the workflow; with ``auto``, it has measured its plan before.
``--python`` is the interpreter of an environment with the four packages of ``keyslice-run``: next to those of the
bundle, nibabel imports pydicom, too. One thread:

    python benchmarks/runtime.py --image CROP.nii.gz --repeats 5 --python RUNTIME_ENVIRONMENT/bin/python

With ``--size``, the image is mirrored until it fills a scan of this size, of 0.8 x 0.8 x 1 mm, which is segmented at
1.5 mm without a finder, by windows of 96 x 96 x 64 voxels. The network is a convolution of size 1 with three classes,
so that everything else is measured:

    python benchmarks/runtime.py --image CT.nii.gz --size 512 512 300 --plan fp32 --repeats 1
"""

from __future__ import annotations

import argparse
import os
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

ROOT = Path(__file__).resolve().parent.parent
LARGE: dict[str, Any] = {
    "roi_size": [96, 96, 64],
    "pixdim": [1.5, 1.5, 1.5],
    "network_def": {"_target_": "torch.nn.Conv3d", "in_channels": 1, "out_channels": 3, "kernel_size": 1},
}
"""What differs from the shipped model where a large scan is segmented."""

RUN = "import sys; from keyslice_runtime.runtime.keyslice_run import main; sys.exit(main())"


def cost(command: list[str], python_path: Path, python: str = sys.executable) -> tuple[float, float]:
    """Return CPU seconds and peak memory in MB of a process."""
    environment = {**os.environ, "PYTHONPATH": str(python_path), "OMP_NUM_THREADS": "1"}
    words = [python, "-W", "ignore", *command]
    process = subprocess.Popen(words, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    text = process.stderr.read() if process.stderr else b""
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(text.decode())
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def agreement(folders: list[Path]) -> float:
    """Return the share of equal labels of the label maps of two folders."""
    shares = []
    for file in folders[0].glob("*_seg.nii.gz"):
        images: list[Any] = [nib.load(folder / file.name) for folder in folders]
        found, wanted = (np.asarray(image.dataobj) for image in images)
        shares.append(float((found == wanted).mean()))
    return min(shares)


def write_scan(image: Path, size: list[int], path: Path) -> None:
    """Write a scan of a size, of 0.8 x 0.8 x 1 mm and int16, which repeats an image mirrored."""
    source: Any = nib.load(image)
    values = np.asarray(source.dataobj)
    for axis, count in enumerate(size):
        length = values.shape[axis]
        places = np.arange(count) % (2 * length)
        values = values.take(np.minimum(places, 2 * length - 1 - places), axis)
    nib.save(nib.Nifti1Image(values.astype(np.int16), np.diag([0.8, 0.8, 1.0, 1.0])), path)


def write_large_model(folder: Path) -> None:
    """Write the model folder of a convolution that separates intensities at 0.5 and 1 standard deviations.

    PyTorch is imported here, as the peak memory of a process begins with that of its parent.
    """
    import torch
    from monai.bundle import ConfigParser

    from bundle.workflow.frozen_config import freeze_ids
    from bundle.workflow.model_folder import ModelFolder

    parser = ConfigParser()
    parser.read_config(str(ROOT / "configs" / "train.json"))
    parser.update(LARGE)
    folder.mkdir()
    weights = {"weight": torch.arange(3.0).reshape(3, 1, 1, 1, 1), "bias": torch.tensor([0.0, -0.5, -1.5])}
    torch.save(weights, folder / "model.pt")
    settings = freeze_ids(parser, parser["model_record"]["ids"])
    ModelFolder(folder, "volumes", settings, {}, {}, {"epoch": 0}).write()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image", type=Path, help="image to segment (default: a crop with noise)")
    parser.add_argument("--model", type=Path, help="model.onnx of python -m bundle export volumes (default: export it)")
    parser.add_argument("--size", type=int, nargs=3, help="size of a scan that repeats the image (default: the image)")
    parser.add_argument("--plan", default="auto", help="plan of the workflow (default: auto)")
    parser.add_argument("--python", default=sys.executable, help="interpreter of keyslice-run (default: this one)")
    parser.add_argument("--repeats", type=int, default=3, help="repeats of each (default: 3)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        runpy.run_path(str(ROOT / "runtime" / "setup.py"))["write_package"](folder)
        image, extra = args.image, []
        if image is None:
            image, extra = folder / "crop.nii.gz", ["--plausible_distance", "null"]
            voxels = np.random.default_rng(0).normal(100, 30, (36, 50, 36)).astype(np.float32)
            nib.save(nib.Nifti1Image(voxels, np.eye(4)), image)
        name = "volumes"
        if args.size:
            image, name = folder / "scan.nii.gz", str(folder / "large")
            write_scan(args.image, args.size, image)
            write_large_model(Path(name))
            extra = ["--model", name]
        model = args.model or folder / "model" / "model.onnx"
        if args.model is None:
            cost(["-m", "bundle", "export", name, str(model.parent)], ROOT)
        folders = [folder / "runtime", folder / "workflow"]
        runtime = ["-c", RUN, str(model), str(image), str(folders[0]), "--threads", "1"]
        workflow = ["-m", "monai.bundle", "run", "--config_file", "configs/inference.json", "--input", str(image)]
        workflow += ["--output_dir", str(folders[1]), "--device", "cpu", "--plan", args.plan, *extra]
        if args.plan == "auto":
            cost(workflow, ROOT)
        costs = [(cost(runtime, folder, args.python), cost(workflow, ROOT)) for _ in range(args.repeats)]
        for number, what in enumerate(("CPU-s", "MB at the peak")):
            own, other = (min(pair[side][number] for pair in costs) for side in (0, 1))
            print(f"keyslice-run: {own:.2f} {what}; workflow: {other:.2f}; ratio {own / other:.3f}")
        print(f"equal labels: {agreement(folders):.6f}")


if __name__ == "__main__":
    main()
