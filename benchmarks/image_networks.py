"""The published networks for skin lesions and cells on one trunk, trained and evaluated under one budget.

    python benchmarks/image_networks.py OUT --masks DIR --classes DIR --epochs 4 --size 96
    python benchmarks/image_networks.py OUT --cells DIR --epochs 8 --size 128

``--masks`` and ``--classes`` are folders of ISIC 2017, ``--cells`` is that of SegPC 2021, all with their official split
(``configs/datasets``). Crops around single cells are cut to OUT, as in the published figures. All networks start from
the same EfficientNet-Lite0 with the weights of ImageNet, and have the same images, augmentation, learning rate, moving
average and epochs; that of the last epoch is evaluated on the validation set. Printed are parameters, CPU time of the
training, metrics with 95 % intervals over the images, and paired differences from the first network. What has results
in OUT is not trained again.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

from bundle import ROOT
from bundle.experiments.paired import compare_evaluations
from bundle.metrics.bootstrap import format_interval

ENVIRONMENT = {**os.environ, "PYTHONPATH": ROOT}
TRUNK = ["--network_def#trunk", "efficientnet_lite0"]
NARROW = [
    *("--network_def#decoder", "{'channels': [256, 128, 64, 32, 16], 'bridge': False}"),
    *("--network_def#transformer", "{'channels': [32, 64, 128], 'depth': 4}"),
    *("--network_def#head", "{'context_channels': 16, 'boundary_channels': 16}"),
]
"""Widths of the contextual attention; those of the paper need 26 s per step of 8 images of 160 x 160 on one thread."""

SEGMENTATION: dict[str, tuple[str, list[str]]] = {
    "U-Net, no attention": ("", ["--attention", "null"]),
    "U-Net, squeeze and excitation": ("", []),
    "DeepLabV3+": ("deeplabv3plus", TRUNK),
    "Attention DeepLabV3+": ("attention_deeplabv3plus", TRUNK),
    "contextual attention U-Net": ("contextual_attention_unet", [*TRUNK, *NARROW]),
}
CELLS: dict[str, tuple[str, list[str]]] = {
    "U-Net, squeeze and excitation": ("", []),
    "contextual attention U-Net": SEGMENTATION["contextual attention U-Net"],
}
CLASSIFICATION: dict[str, tuple[str, list[str]]] = {
    "no attention": ("", ["--attention", "null"]),
    "attention residual learning": ("", []),
}


def run(words: list[str], program: str = "monai.bundle") -> None:
    """Run a workflow, or a command of another program.

    Raises:
        SystemExit: if it fails.
    """
    command = [sys.executable, "-W", "ignore", "-m", program, *words]
    done = subprocess.run(command, env=ENVIRONMENT, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(words[:4])} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


def train(task: str, overlay: str, options: list[str], out: Path, data: list[str], budget: list[str]) -> None:
    """Train a network and evaluate it on the validation set, unless that was done."""
    if (out / "cpu_seconds.json").is_file():
        return
    files = [
        f"configs/{task}/train.json",
        *([f"configs/lesion_segmentation/networks/{overlay}.json"] if overlay else []),
    ]
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    written = ["--overwrite", "true", "--output_dir", str(out / "model")]
    run(["run", "--config_file", str(files), *data, *budget, *options, *written])
    seconds = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
    model = ["--model", str(out / "model"), "--split", "validation", "--output_dir", str(out)]
    run(["run", "--config_file", f"configs/{task}/evaluate.json", *data, *model])
    (out / "cpu_seconds.json").write_text(json.dumps(seconds), encoding="utf-8")


def cell_crops(cells: str, out: Path) -> list[str]:
    """Return the options of the data of crops around single cells, which are cut if they are not there."""
    datalist = out / "crops.json"
    if not datalist.is_file():
        split = ["--datalist", "configs/datasets/segpc2021_split.json"]
        written = ["--crops_dir", str(out / "crops"), "--output", str(datalist)]
        run(["prepare", "cell-crops", cells, *split, *written], program="bundle")
    return ["--dataset_dir", cells, "--datalist", str(datalist)]


def budget_of(epochs: int, size: int) -> list[str]:
    """Return the options of a training of so many epochs at a size in pixels."""
    budget = ["--epochs", str(epochs), "--val_interval", str(epochs), "--roi_size", f"[{size},{size}]"]
    budget += ["--pretrained", "true", "--learning_rate", "0.0005", "--device", "cpu", "--amp", "false"]
    return [*budget, "--weight_average", "0.01"]  # of about 100 steps: that of the shipped weights is of many epochs


def parameters_of(out: Path) -> str:
    """Return the number of parameters as the log of a training names it."""
    lines = (out / "model" / "training.log").read_text(encoding="utf-8").splitlines()
    return next(line for line in lines if "network: " in line).rsplit(", ", 1)[1].removesuffix(" parameters")


def compare(
    task: str, networks: dict[str, tuple[str, list[str]]], out: Path, data: list[str], budget: list[str]
) -> None:
    """Train all networks of a task and print their table."""
    folders = {name: out / task / name.replace(" ", "_").replace(",", "") for name in networks}
    for name, (overlay, options) in networks.items():
        train(task, overlay, options, folders[name], data, budget)
    first = next(iter(folders.values()))
    print(f"\n| {task} | parameters | CPU s | structure | metric | value | difference |\n|---|---|---|---|---|---|---|")
    for name, folder in folders.items():
        seconds = json.loads((folder / "cpu_seconds.json").read_text(encoding="utf-8"))
        head = f"| {name} | {parameters_of(folder)} | {seconds:.0f}"
        for structure, metric, found in paired(folder, first):
            difference = "" if folder == first else format_interval(found["difference"], digits=3, signed=True)
            value = interval_of(folder, structure, metric)
            print(f"{head} | {structure} | {metric} | {value} | {difference} |", flush=True)


def interval_of(folder: Path, structure: str, metric: str) -> str:
    """Return a metric of an evaluation with its interval: the mean over images of masks, all images of classes."""
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    return format_interval(metrics.get("per_image", metrics.get("summary"))[structure][metric], digits=3)


def paired(folder: Path, first: Path) -> list[tuple[str, str, dict[str, Any]]]:
    """Return the metrics of a network against those of the first one, by structure."""
    metrics = compare_evaluations(folder, first)["metrics"]
    shown = ("dice", "jaccard", "mean_iou", "auc")
    return [(name, metric, found[metric]) for name, found in metrics.items() for metric in shown if metric in found]


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--masks", help="folder of the images with masks")
    parser.add_argument("--classes", help="folder of the images with classes")
    parser.add_argument("--cells", help="folder of SegPC 2021")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--size", type=int, default=128)
    args = parser.parse_args()
    out, budget = args.out.resolve(), budget_of(args.epochs, args.size)
    for folder, task, networks, names in (
        (args.masks, "lesion_segmentation", SEGMENTATION, "isic2017_masks_split"),
        (args.classes, "lesion_classification", CLASSIFICATION, "isic2017_classes_split"),
    ):
        if folder:
            data = ["--dataset_dir", folder, "--datalist", f"configs/datasets/{names}.json"]
            compare(task, networks, out, data, budget)
    if args.cells:
        # A random crop would move the cell out of the center, by which it is told from its neighbors.
        data = cell_crops(args.cells, out)
        compare("cell_segmentation", CELLS, out, data, [*budget, "--crop_scale", "[0.9,0.9]"])


if __name__ == "__main__":
    main()
