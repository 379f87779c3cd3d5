"""``prepare`` for spines: Spine Generic, exams with masks, phantoms."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .output_paths import output_file, output_folder
from .prepare_options import add_dataset, add_seed, add_split, report_datalist

SPLITS_BY = ("subject", "site")
POINTS_FORMATS = ("csv", "mrk.json", "json", "label_map", "poi")
NUMBERINGS = ("sct", "verse", "totalspineseg", "spider")


def add_spine(names: Any) -> None:
    """Add the commands of the datasets of spines to those of ``prepare``."""
    parser = add_dataset(
        names,
        "spine-generic",
        "bundle.tasks.spine.spine_generic:prepare_spine_generic",
        description="the BIDS folder of Spine Generic, with its disc labels",
        folder="folder that holds sub-*/anat and derivatives/labels",
    )
    parser.add_argument(
        "--derivative", default="labels", help="folder in derivatives with the labels (default: labels)"
    )
    parser.add_argument("--contrasts", nargs="+", default=["T1w", "T2w"], help="contrasts (default: T1w T2w)")
    parser.add_argument(
        "--split_by", choices=SPLITS_BY, default="subject", help="unit that is not split (default: subject)"
    )
    add_split(parser)
    _add_exams(names)
    _add_points(names)
    _add_phantoms(names)


def _add_exams(names: Any) -> None:
    parser = names.add_parser("spine-exams", help="spine exams with masks of vertebrae or discs, as disc points")
    parser.add_argument("dataset_dir", help="folder with one folder per source of exams")
    parser.add_argument("--output", type=output_folder, required=True, help="folder for dataset.json and the points")
    parser.add_argument("--point", choices=("posterior", "center"), default="posterior", help="point of a disc")
    parser.add_argument(
        "--numbering", choices=NUMBERINGS, default=NUMBERINGS[0], help="numbers of the masks (default: sct)"
    )
    parser.add_argument("--folds", type=int, default=3, help="folds by exam (default: 3)")
    add_seed(parser)
    parser.set_defaults(prepare=_list_exams)


def _list_exams(args: argparse.Namespace) -> None:
    from bundle.tasks.spine.spine_exams import prepare_spine_exams

    options = {name: getattr(args, name) for name in ("point", "numbering", "folds", "seed")}
    content = prepare_spine_exams(args.dataset_dir, args.output, **options)
    report_datalist(content, Path(args.output, "dataset.json"))


def _add_points(names: Any) -> None:
    parser = names.add_parser("spine-points", help="images with the points of their discs, such as corrected results")
    parser.add_argument("dataset_dir", help="folder of the images")
    parser.add_argument("--labels", help="folder of the files of discs (default: that of the images)")
    parser.add_argument("--output", type=output_file, required=True, help="datalist to write, such as DIR/dataset.json")
    parser.add_argument("--format", choices=POINTS_FORMATS, default="csv", help="format that is used (default: csv)")
    parser.add_argument("--complete", action="store_true", help="every disc in view has a point")
    parser.add_argument("--folds", type=int, default=5, help="folds by subject or image (default: 5)")
    add_seed(parser)
    parser.set_defaults(prepare=_list_points)


def _list_points(args: argparse.Namespace) -> None:
    from bundle.tasks.spine.corrected_points import prepare_spine_points

    options = {name: getattr(args, name) for name in ("labels", "complete", "folds", "seed")}
    content = prepare_spine_points(args.dataset_dir, args.output, points_format=args.format, **options)
    report_datalist(content, args.output)


def _add_phantoms(names: Any) -> None:
    parser = names.add_parser("spine-phantoms", help="make phantoms of the spine with exact disc points")
    parser.add_argument("dataset_dir", type=output_folder, help="folder to write to")
    parser.add_argument("--count", type=int, default=100, help="number of phantoms (default: 100)")
    parser.add_argument("--folds", type=int, default=5, help="folds (default: 5)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first phantom (default: 0)")
    parser.set_defaults(prepare=_write_phantoms)


def _write_phantoms(args: argparse.Namespace) -> None:
    from bundle.phantoms.spine.spine_phantom import write_spine_phantoms

    content = write_spine_phantoms(args.dataset_dir, count=args.count, seed=args.seed, folds=args.folds)
    report_datalist(content, Path(args.dataset_dir, "dataset.json"))
