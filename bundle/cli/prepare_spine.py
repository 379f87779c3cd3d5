"""``python -m bundle prepare`` for spines: Spine Generic, exams with masks, phantoms; and ``skeleton``."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import Any

from bundle.data.datalist import load_datalist
from bundle.phantoms.spine.spine_phantom import write_spine_phantoms
from bundle.tasks.spine.discs.skeleton import SkeletonPrior
from bundle.tasks.spine.load_disc_points import LoadDiscPointsd
from bundle.tasks.spine.spine_exams import prepare_spine_exams
from bundle.tasks.spine.spine_generic import SPLITS_BY, prepare_spine_generic

from .prepare_options import add_dataset, add_seed, add_split, tell

logger = logging.getLogger(__name__)


def add_spine(names: Any) -> None:
    """Add the commands of the datasets of spines to those of ``prepare``."""
    parser = add_dataset(
        names,
        "spine-generic",
        prepare_spine_generic,
        told="the BIDS folder of Spine Generic, with its disc labels",
        folder="folder that holds sub-*/anat and derivatives/labels",
    )
    parser.add_argument("--contrasts", nargs="+", default=["T1w", "T2w"], help="contrasts (default: T1w T2w)")
    parser.add_argument("--split_by", choices=SPLITS_BY, default="subject", help="what is never split")
    add_split(parser)
    _add_exams(names)
    _add_phantoms(names)


def add_skeleton(commands: Any) -> None:
    """Add ``skeleton`` to the commands of ``python -m bundle``."""
    parser = commands.add_parser("skeleton", help="fit where the discs of a spine lie to each other")
    parser.add_argument("dataset_dir", nargs="+", help="folders of datasets whose labels are disc points")
    parser.add_argument("--output", required=True, help="file to write, .json")
    parser.set_defaults(run=_skeleton)


def _skeleton(args: argparse.Namespace) -> None:
    load = LoadDiscPointsd("label")
    cases = [case for folder in args.dataset_dir for case in load_datalist(folder)["training"]]
    points = [load({"label": case["label"]})["points"] for case in cases]
    prior = SkeletonPrior.fit(points, source=args.command_line)
    Path(args.output).parent.mkdir(parents=True, exist_ok=True)
    prior.save(args.output)
    logger.info("%s: %d levels from %d cases", args.output, len(prior.levels), len(cases))


def _add_exams(names: Any) -> None:
    parser = names.add_parser("spine-exams", help="spine exams with masks of vertebrae or discs, as disc points")
    parser.add_argument("dataset_dir", help="folder with one folder a source of exams")
    parser.add_argument("--output", required=True, help="folder for dataset.json and the points")
    parser.add_argument("--point", choices=("posterior", "center"), default="posterior", help="point of a disc")
    parser.add_argument("--folds", type=int, default=3, help="folds by exam (default: 3)")
    add_seed(parser)
    parser.set_defaults(run=_exams)


def _exams(args: argparse.Namespace) -> None:
    content = prepare_spine_exams(args.dataset_dir, args.output, point=args.point, folds=args.folds, seed=args.seed)
    tell(content, Path(args.output, "dataset.json"))


def _add_phantoms(names: Any) -> None:
    parser = names.add_parser("spine-phantoms", help="make phantoms of the spine with exact disc points")
    parser.add_argument("dataset_dir", help="folder to write to")
    parser.add_argument("--count", type=int, default=100, help="number of phantoms (default: 100)")
    parser.add_argument("--folds", type=int, default=5, help="folds (default: 5)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first phantom (default: 0)")
    parser.set_defaults(run=_phantoms)


def _phantoms(args: argparse.Namespace) -> None:
    content = write_spine_phantoms(args.dataset_dir, count=args.count, seed=args.seed, folds=args.folds)
    tell(content, Path(args.dataset_dir, "dataset.json"))
