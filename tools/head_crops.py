"""Crops of heads for the training of the hippocampus model, from heads with silver labels of both hippocampi.

``python tools/head_crops.py VOLUMES OUTPUT --teacher WEIGHTS`` makes the dataset of
``configs/datasets/hippocampus_heads_split.json``. ``VOLUMES`` holds ``heads_t1``, whose labels are 1 for the left and 2
for the right hippocampus, and the crops of ``hippocampus`` and ``hippocampus_more``, to which the output has links. A
crop has 56 x 72 x 56 mm around one hippocampus at 1 mm; the teacher, a model of crops, separates the anterior from the
posterior part. The result is deterministic.
"""

from __future__ import annotations

import argparse
import logging
import os
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from monai.transforms import Compose, Orientationd, SpatialCrop
from torch.nn import functional

from bundle.grid import ResampleSpacingd
from bundle.io import LoadVolumed
from bundle.networks import AttentionUNet, load_weights
from bundle.transforms import StandardizeIntensityd

SIDES = {"left": 1, "right": 2}
WINDOW = [40, 56, 40]
MARGIN = 8
"""Voxels around the window, so that a training sees crops that are not centered."""

REPEATS = 3
"""How often the training has every crop, by links, as there are fewer heads than crops of the Decathlon."""

KEYS = ["image", "label"]

logger = logging.getLogger(__name__)


def make_crops(heads: Path, output: Path, teacher: torch.nn.Module) -> None:
    """Write two crops of every head to ``output/images`` and ``output/labels``."""
    load = Compose(
        [
            LoadVolumed(KEYS),
            Orientationd(KEYS, axcodes="RAS", labels=None),
            ResampleSpacingd(KEYS, pixdim=[1.0, 1.0, 1.0], mode=["linear", "nearest"]),
        ]
    )
    for folder in ("images", "labels"):
        (output / folder).mkdir(parents=True, exist_ok=True)
    for image in sorted((heads / "images").glob("*.nii.gz")):
        data = load({"image": str(image), "label": str(heads / "labels" / image.name)})
        for side, value in SIDES.items():
            name = image.name.replace(".nii.gz", f"_{side}.nii.gz")
            voxels, label = _crop(data, value, teacher)
            affine = np.asarray(voxels.affine)
            nib.save(nib.Nifti1Image(voxels[0].numpy(), affine), output / "images" / name)
            nib.save(nib.Nifti1Image(label, affine), output / "labels" / name)
            _link(output, name)
            logger.info("%s: %d anterior and %d posterior voxels", name, (label == 1).sum(), (label == 2).sum())


def _crop(data: Any, value: int, teacher: torch.nn.Module) -> tuple[Any, np.ndarray]:
    """Return the crop of one side, and its label map with the anterior part as 1 and the posterior part as 2."""
    points = (data["label"].as_tensor()[0] == value).nonzero().numpy()
    center = ((points.min(0) + points.max(0)) // 2).tolist()
    inner = SpatialCrop(roi_center=center, roi_size=WINDOW)(data["image"])
    standardized = StandardizeIntensityd("image", percentiles=[1.0, 99.0])({"image": inner})["image"]
    with torch.no_grad():
        scores = teacher(standardized.as_tensor()[None])[0]
    parts = torch.where(scores[1] > scores[2], 1.0, 2.0)[None, None]
    crop = SpatialCrop(roi_center=center, roi_size=[size + 2 * MARGIN for size in WINDOW])
    mask = torch.as_tensor(crop(data["label"]).numpy()[0] == value)
    parts = functional.pad(parts, [MARGIN] * 6, mode="replicate")[0, 0]
    return crop(data["image"]), (parts * mask).numpy().astype(np.uint8)


def _link(output: Path, name: str) -> None:
    """Add the repeats of a crop."""
    for folder in ("images", "labels"):
        for repeat in range(1, REPEATS):
            link = output / folder / name.replace(".nii.gz", f"_r{repeat}.nii.gz")
            if not link.exists():
                link.symlink_to(name)


def main() -> None:
    """Run the tool."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("volumes", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--teacher", type=Path, required=True)
    args = parser.parse_args()
    network = AttentionUNet(3, 1, 3, channels=[16, 32, 64, 128], attention="pam", spatial_size=WINDOW)
    args.output.mkdir(parents=True, exist_ok=True)
    for name in ("hippocampus", "hippocampus_more"):
        link = args.output / name
        if not link.exists():
            os.symlink((args.volumes / name).resolve(), link)
    make_crops(args.volumes / "heads_t1", args.output / "head_crops", load_weights(network, args.teacher).eval())


if __name__ == "__main__":
    main()
