"""Whether the mask of the lesion helps the classification: complete images against images cut to the lesion.

    python benchmarks/lesion_crops.py OUT --classes DIR --epochs 4 --size 96

``--classes`` is the folder of ISIC 2017 with its official split. The shipped weights segment the lesion of every
image, and the image is cut to the box of the lesion with a margin. Both sets train the same network under the budget
of ``image_networks.py``. Printed are the areas under the ROC curve of the validation images and of the mean probability
of both networks, with paired differences and their 95 % intervals. What was segmented or trained is not done again.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
from image_networks import budget_of, run, train
from PIL import Image

from bundle.experiments.paired import compare_evaluations
from bundle.metrics.bootstrap import format_interval

TASK = "lesion_classification"
MARGIN = 0.15
"""Of the sides of the box of the lesion, on every side."""


def cut_to_lesions(images: Path, masks: Path, cut: Path) -> None:
    """Write every image cut to its lesion; one without a mask stays whole."""
    cut.mkdir(parents=True, exist_ok=True)
    for path in sorted(images.iterdir()):
        image: Image.Image = Image.open(path)
        rows, columns = np.nonzero(np.asarray(Image.open(masks / f"{path.stem}_seg.png")))
        if rows.size:
            box = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
            margin = MARGIN * (box[2:] - box[:2])
            low, high = np.maximum(box[:2] - margin, 0), np.minimum(box[2:] + margin, image.size)
            image = image.crop((*low.round().astype(int).tolist(), *high.round().astype(int).tolist()))
        image.save(cut / path.name, quality=95)


def mean_of(first: Path, second: Path, out: Path) -> Path:
    """Write the table of the mean probabilities of two evaluations."""
    texts = [(folder / "metrics.csv").read_text(encoding="utf-8") for folder in (first, second)]
    tables = [list(csv.DictReader(text.splitlines())) for text in texts]
    out.mkdir(exist_ok=True)
    with (out / "metrics.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, tables[0][0])
        writer.writeheader()
        others = {(row["case"], row["class"]): float(row["probability"]) for row in tables[1]}
        for row in tables[0]:
            both = float(row["probability"]), others[row["case"], row["class"]]
            writer.writerow({**row, "probability": sum(both) / 2})
    return out


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--classes", type=Path, required=True, help="folder of the images with classes")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--size", type=int, default=96)
    args = parser.parse_args()
    out = args.out.resolve()
    masks, cut = out / "masks", out / "cut"
    if not (masks / "summary.json").is_file():
        segment = ["--config_file", "configs/lesion_segmentation/inference.json", "--mirror_axes", "[]"]
        run(["run", *segment, "--input", str(args.classes / "images"), "--output_dir", str(masks)])
    cut_to_lesions(args.classes / "images", masks, cut / "images")
    folders = {"whole": out / "whole", "lesion": out / "lesion"}
    for name, data in (("whole", args.classes), ("lesion", cut)):
        options = ["--dataset_dir", str(data), "--datalist", "configs/datasets/isic2017_classes_split.json"]
        train(TASK, "", [], folders[name], options, budget_of(args.epochs, args.size))
    folders["mean of both"] = mean_of(folders["whole"], folders["lesion"], out / "mean")
    print("| images | class | AUC | difference from complete images |\n|---|---|---|---|")
    for name, folder in folders.items():
        for label, found in compare_evaluations(folder, folders["whole"])["metrics"].items():
            difference = format_interval(found["auc"]["difference"], digits=3, signed=True)
            print(f"| {name} | {label} | {found['auc']['first']:.3f} | {difference} |", flush=True)


if __name__ == "__main__":
    main()
