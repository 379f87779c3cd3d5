"""``prepare`` for datasets of images: skin lesions and cells."""

from __future__ import annotations

from typing import Any

from .output_paths import output_folder
from .prepare_options import add_dataset, add_seed, add_split

SPLITS = ("official", "paper")
TASKS = ("segmentation", "classification")
TARGETS = ("cell", "parts")
SPLITS_HELP = "table, in DIR, with columns image_id and split: training, validation, test (default: draw them)"


def add_images(names: Any) -> None:
    """Add the commands of the datasets of images to those of ``prepare``."""
    _add_isic(names)
    parser = add_dataset(
        names,
        "ph2",
        "bundle.data.ph2:prepare_ph2",
        description="PH2: 80, 20 and 100 images for training, validation and test",
        folder="folder 'PH2 Dataset images', or one that holds it",
    )
    add_seed(parser)
    _add_segpc(names)
    _add_cell_crops(names)
    _add_folders(names)


def _add_isic(names: Any) -> None:
    split = "official, or paper: sizes of published splits, drawn from the training part (default: official)"
    parser = add_dataset(
        names,
        "isic2017",
        "bundle.data.isic:prepare_isic2017",
        description="ISIC 2017: lesion masks (Part 1) or classes (Part 3)",
        folder="folder with the unpacked archives ISIC-2017_*",
    )
    parser.add_argument("--task", choices=TASKS, default=TASKS[0], help="what to train for (default: segmentation)")
    parser.add_argument("--split", choices=SPLITS, default=SPLITS[0], help=split)
    add_seed(parser)
    parser = add_dataset(
        names,
        "isic2018",
        "bundle.data.isic:prepare_isic2018",
        description="ISIC 2018: lesion masks (Task 1)",
        folder="folder with the unpacked archives ISIC2018_Task1*",
    )
    parser.add_argument("--split", choices=SPLITS, default=SPLITS[0], help=split)
    add_seed(parser)


def _add_segpc(names: Any) -> None:
    parser = add_dataset(
        names,
        "segpc2021",
        "bundle.data.segpc:prepare_segpc2021",
        description="SegPC-2021: plasma cells; writes one mask per image",
        folder="folder with train/x, train/y, validation/x and validation/y",
    )
    parser.add_argument("--masks_dir", type=output_folder, help="folder for the masks (default: DIR/masks)")
    parser.add_argument(
        "--target", choices=TARGETS, default="cell", help="cell: 255; parts: cytoplasm 128, nucleus 255 (default: cell)"
    )
    parser.add_argument("--folds", type=int, default=5, help="folds of the training part (default: 5)")


def _add_cell_crops(names: Any) -> None:
    parser = add_dataset(
        names,
        "cell-crops",
        "bundle.data.cell_crops:prepare_cell_crops",
        description="crops around single cells: writes one image and mask per cell of a dataset",
        folder="folder of a dataset of images with masks",
        target="crops.json",
    )
    parser.add_argument("--datalist", help="datalist of the dataset (default: DIR/dataset.json)")
    parser.add_argument("--crops_dir", type=output_folder, help="folder for the crops (default: DIR/crops)")
    parser.add_argument("--scale", type=float, default=1.5, help="sides relative to the cell (default: 1.5)")
    parser.add_argument("--size", type=int, default=224, help="height and width in pixels (default: 224)")


def _add_folders(names: Any) -> None:
    parser = add_dataset(
        names,
        "images",
        "bundle.data.image_folder:prepare_image_folder",
        description="images with masks: images/masks, images/labels, imagesTr/labelsTr",
        folder="folder that holds these, or folders that do",
    )
    parser.add_argument(
        "--block", type=int, default=1, help="consecutive images, as of one slide, that stay together (default: 1)"
    )
    add_split(parser)
    parser.add_argument("--splits", help=SPLITS_HELP)
    parser = add_dataset(
        names,
        "classified",
        "bundle.data.classified_images:prepare_classified_folder",
        description="images with classes: a folder and a table",
        folder="folder with images and labels.csv",
    )
    parser.add_argument("--classes", nargs="+", required=True, help="columns of the table that hold 0 or 1")
    parser.add_argument("--images", default="images", help="folder of the images, in DIR (default: images)")
    parser.add_argument("--table", default="labels.csv", help="table, in DIR (default: labels.csv)")
    add_split(parser)
    parser.add_argument("--splits", help=SPLITS_HELP)
