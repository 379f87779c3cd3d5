"""Crops of any contrast for the training of the hippocampus model, synthesized from label maps of heads.

``python tools/synthetic_crops.py MAPS ... OUTPUT --count 4`` writes ``count`` images of every side of every label map
in the folders ``MAPS`` (FreeSurfer's values: 17 left, 53 right hippocampus) to ``OUTPUT/images`` and ``OUTPUT/labels``.
A crop has 56 x 72 x 56 mm around one hippocampus at 1 mm. Its label map separates the anterior from the posterior part
by a coronal plane, as the labels of the Medical Segmentation Decathlon do: there the plane is at 0.58 of the length
(standard deviation 0.04 over 200 cases). The result is deterministic.
"""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from monai.networks.layers import GaussianFilter
from monai.transforms import Compose, Orientationd, RandAffined, RandSmoothDeformd, SpatialCropd

from bundle import ROOT
from bundle.io import LoadVolumed
from bundle.transforms import SynthesizeImaged

SIDES = {"left": 17, "right": 53}
CROP = [56, 72, 56]
MARGIN = 16
"""Voxels around a crop that is deformed, so that nothing from outside comes in."""

SHORTEST = 30
"""Length of a complete hippocampus in mm; a side that is shorter is cut in the label map."""

BOUNDARY = (0.578, 0.039)
"""Mean and standard deviation of the place of the plane between both parts, from the posterior end, 0 to 1."""

logger = logging.getLogger(__name__)


def make_crops(maps: list[Path], output: Path, *, count: int) -> None:
    """Write ``count`` images and label maps of both sides of every label map."""
    for folder in ("images", "labels"):
        (output / folder).mkdir(parents=True, exist_ok=True)
    load = Compose([LoadVolumed("map"), Orientationd("map", axcodes="RAS", labels=None)])
    transform = random_transform()
    for number, path in enumerate(maps):
        transform.set_random_state(seed=number)
        random = np.random.default_rng(number)
        head = load({"map": str(path)})["map"]
        for side, value in SIDES.items():
            points = np.argwhere(np.asarray(head[0]) == value)
            if np.ptp(points[:, 1]) < SHORTEST:
                logger.info("%s: the %s hippocampus is cut; no crop is made", path.name, side)
                continue
            for index in range(count):
                image, label = _crop(head, points, value, transform, random)
                name = f"{path.name.removesuffix('.nii.gz')}_{side}_{index}.nii.gz"
                nib.save(nib.Nifti1Image(image, np.eye(4)), output / "images" / name)
                nib.save(nib.Nifti1Image(label, np.eye(4)), output / "labels" / name)
    logger.info("%d crops written to %s", len(list((output / "images").glob("*.nii.gz"))), output)


def random_transform() -> Compose:
    """Return the deformation of a label map in ``label`` and ``image``, and the synthesis of the image."""
    keys = ["image", "label"]
    size = [length + 2 * MARGIN for length in CROP]
    pairs = json.loads(Path(ROOT, "configs/datasets/head_labels.json").read_text(encoding="utf-8"))["side_pairs"]
    return Compose(
        [
            RandAffined(
                keys,
                prob=1.0,
                rotate_range=[0.25] * 3,
                scale_range=[0.12] * 3,
                mode="nearest",
                padding_mode="border",
            ),
            RandSmoothDeformd(
                keys,
                spatial_size=size,
                rand_size=[5, 5, 5],
                prob=0.8,
                def_range=0.04,
                grid_mode="nearest",
            ),
            SpatialCropd(keys, roi_center=[length // 2 for length in size], roi_size=CROP),
            SynthesizeImaged("image", pairs=pairs, std_range=(0.0, 0.12)),
        ]
    )


def _crop(
    head: Any, points: np.ndarray, value: int, transform: Compose, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return a random image of one side, and its label map with the anterior part as 1 and the posterior part as 2."""
    center = ((points.min(0) + points.max(0)) // 2).tolist()
    size = [length + 2 * MARGIN for length in CROP]
    window = SpatialCropd("map", roi_center=center, roi_size=size)({"map": head})["map"]
    made = transform({"image": window.clone(), "label": window.clone()})
    image = _blurred(made["image"], sigma=float(random.uniform(0.3, 0.7)))
    mask = np.asarray(made["label"][0]) == value
    rows = np.flatnonzero(mask.any((0, 2)))
    share = float(np.clip(random.normal(*BOUNDARY), 0.4, 0.75))
    boundary = rows[0] + share * (rows[-1] + 1 - rows[0])
    anterior = (np.arange(mask.shape[1]) >= boundary)[None, :, None]
    return image, np.where(mask, np.where(anterior, 1, 2), 0).astype(np.uint8)


def _blurred(image: Any, *, sigma: float) -> np.ndarray:
    """Return the voxels after a Gaussian filter, which gives borders a partial volume."""
    voxels = image.as_tensor() if hasattr(image, "as_tensor") else torch.as_tensor(image)
    return GaussianFilter(3, sigma)(voxels[None].float())[0, 0].numpy()


def main() -> None:
    """Run the tool."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("maps", type=Path, nargs="+", help="folders of label maps")
    parser.add_argument("output", type=Path)
    parser.add_argument("--count", type=int, default=4, help="images of every side")
    args = parser.parse_args()
    files = [file for folder in args.maps for file in sorted(folder.glob("*.nii.gz"))]
    make_crops(files, args.output, count=args.count)


if __name__ == "__main__":
    main()
