"""``prepare`` for volumes with label maps."""

from __future__ import annotations

import argparse
from typing import Any

from .prepare_options import add_dataset, add_split

MODALITIES = ("flair", "t1", "t1ce", "t2")
VIEWS = ("axial_crop", "axial_full", "sa_crop")
TABLES = ("neuromorphometrics", "freesurfer")


def add_volumes(names: Any) -> None:
    """Add the commands of the datasets of volumes to those of ``prepare``."""
    parser = add_dataset(
        names,
        "folder",
        "bundle.data.split:make_datalist",
        description="volumes with label maps: dataset.json, imagesTr/labelsTr, images/labels",
        folder="folder of the dataset",
    )
    _add_labels(parser)
    _add_patient(parser)
    add_split(parser)
    parser = add_dataset(
        names,
        "msd",
        "bundle.data.msd:prepare_msd",
        description="a task of the Medical Segmentation Decathlon, or of nnU-Net",
        folder="folder of the task, with dataset.json",
        target="datalist.json",
    )
    _add_labels(parser)
    _add_patient(parser)
    add_split(parser)
    _add_brats(names)
    _add_malc(names)
    parser = add_dataset(
        names,
        "hvsmr",
        "bundle.data.hvsmr:prepare_hvsmr",
        description="HVSMR 2016: hearts in MRI",
        folder="folder with training_axial_crop_pat*.nii.gz at any depth, or with train and test",
    )
    parser.add_argument("--view", choices=VIEWS, default=VIEWS[0], help="volumes to list (default: axial_crop)")
    add_split(parser)
    _add_bids(names)


def _add_brats(names: Any) -> None:
    parser = add_dataset(
        names,
        "brats2018",
        "bundle.data.brats2018:prepare_brats2018",
        description="BraTS 2018: gliomas in four MRI modalities",
        folder="folder with HGG and LGG, or with train and test, at any depth",
    )
    parser.add_argument(
        "--modalities",
        nargs="+",
        default=list(MODALITIES),
        metavar="ENDING",
        help=f"how the images of the channels end, in their order (default: {' '.join(MODALITIES)})",
    )
    parser.add_argument("--label", default="seg", metavar="ENDING", help="how label maps end (default: seg)")
    add_split(parser)


def _add_malc(names: Any) -> None:
    parser = add_dataset(
        names,
        "malc",
        "bundle.data.malc:prepare_malc",
        description="MALC, MICCAI 2012: brain structures in T1 MRI",
        folder="folder with training-images and training-labels, or with train and test",
    )
    _add_labels(parser, f", or {' or '.join(TABLES)} (default: neuromorphometrics)")
    parser.add_argument("--repeats", action="store_true", help="also list second scans of persons")
    add_split(parser)


def _add_bids(names: Any) -> None:
    parser = add_dataset(
        names,
        "bids",
        "bundle.data.bids:prepare_bids",
        description="a BIDS dataset with segmentations (dseg) as a derivative",
        folder="folder with sub-* and derivatives",
    )
    parser.add_argument("--suffixes", nargs="+", default=["T1w"], help="images of the channels (default: T1w)")
    parser.add_argument(
        "--derivative", help="folder in derivatives that holds the segmentations (default: the only one)"
    )
    _add_labels(parser, " (default: dseg.tsv of the derivative)")
    add_split(parser)


def _add_labels(parser: argparse.ArgumentParser, more: str = "") -> None:
    text = "table of structures: .tsv or .csv with index and name, .json {name: [values]}"
    parser.add_argument("--labels", metavar="FILE", help=text + more)


def _add_patient(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--patient", metavar="REGEX", help="finds the patient in the name of an image, as its first group"
    )
