"""``python -m bundle prepare NAME DIR`` and ``skeleton DIR``: what a training needs, from a dataset or from nothing."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import Any

from .datasets import load_datalist
from .datasets.spine_exams import prepare_spine_exams
from .datasets.spine_generic import prepare_spine_generic
from .datasets.spine_phantom import write_spine_phantoms
from .datasets.split import make_datalist, write_datalist
from .discs import SkeletonPrior
from .transforms import LoadDiscPointsd

logger = logging.getLogger(__name__)


def add_prepare(commands: Any) -> None:
    """Add ``prepare`` with one command a dataset to the commands of ``python -m bundle``."""
    parser = commands.add_parser("prepare", help="write the datalist of a dataset: its cases, test set and folds")
    names = parser.add_subparsers(dest="dataset", required=True, metavar="NAME")
    _add_folder(names)
    _add_spine_generic(names)
    _add_spine_exams(names)
    _add_spine_phantoms(names)


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


def _add_folder(names: Any) -> None:
    parser = names.add_parser("folder", help="volumes with label maps: dataset.json, imagesTr/labelsTr, images/labels")
    parser.add_argument("dataset_dir", help="folder of the dataset")
    parser.add_argument("--output", required=True, help="datalist to write")
    _add_split(parser, test_share=0.2, folds=5)
    parser.set_defaults(run=_folder)


def _folder(args: argparse.Namespace) -> None:
    content = make_datalist(args.dataset_dir, test_share=args.test_share, folds=args.folds, seed=args.seed)
    _write(content, args.output)


def _add_spine_generic(names: Any) -> None:
    parser = names.add_parser("spine-generic", help="the BIDS folder of Spine Generic, with its disc labels")
    parser.add_argument("dataset_dir", help="folder that holds sub-*/anat and derivatives/labels")
    parser.add_argument("--output", help="datalist to write (default: DIR/dataset.json)")
    parser.add_argument("--contrasts", nargs="+", default=["T1w", "T2w"], help="contrasts (default: T1w T2w)")
    parser.add_argument("--split_by", choices=("subject", "site"), default="subject", help="what is never split")
    _add_split(parser, test_share=0.2, folds=5)
    parser.set_defaults(run=_spine_generic)


def _spine_generic(args: argparse.Namespace) -> None:
    names = ("contrasts", "split_by", "test_share", "folds", "seed")
    content = prepare_spine_generic(args.dataset_dir, **{name: getattr(args, name) for name in names})
    _write(content, args.output or Path(args.dataset_dir, "dataset.json"))


def _add_spine_exams(names: Any) -> None:
    parser = names.add_parser("spine-exams", help="spine exams with masks of vertebrae or discs, as disc points")
    parser.add_argument("dataset_dir", help="folder with one folder a source of exams")
    parser.add_argument("--output", required=True, help="folder for dataset.json and the points")
    parser.add_argument("--point", choices=("posterior", "center"), default="posterior", help="point of a disc")
    parser.add_argument("--folds", type=int, default=3, help="folds by exam (default: 3)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the shuffle (default: 0)")
    parser.set_defaults(run=_spine_exams)


def _spine_exams(args: argparse.Namespace) -> None:
    content = prepare_spine_exams(args.dataset_dir, args.output, point=args.point, folds=args.folds, seed=args.seed)
    _tell(content, Path(args.output, "dataset.json"))


def _add_spine_phantoms(names: Any) -> None:
    parser = names.add_parser("spine-phantoms", help="make phantoms of the spine with exact disc points")
    parser.add_argument("dataset_dir", help="folder to write to")
    parser.add_argument("--count", type=int, default=100, help="number of phantoms (default: 100)")
    parser.add_argument("--folds", type=int, default=5, help="folds (default: 5)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first phantom (default: 0)")
    parser.set_defaults(run=_spine_phantoms)


def _spine_phantoms(args: argparse.Namespace) -> None:
    content = write_spine_phantoms(args.dataset_dir, count=args.count, seed=args.seed, folds=args.folds)
    _tell(content, Path(args.dataset_dir, "dataset.json"))


def _add_split(parser: argparse.ArgumentParser, *, test_share: float, folds: int) -> None:
    parser.add_argument(
        "--test_share", type=float, default=test_share, help="share of the cases held out (default: %(default)s)"
    )
    parser.add_argument("--folds", type=int, default=folds, help="folds of the others (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the shuffle (default: 0)")


def _write(content: dict[str, Any], path: str | Path) -> None:
    write_datalist(content, path)
    _tell(content, path)


def _tell(content: dict[str, Any], path: str | Path) -> None:
    logger.info("%s: %d training cases, %d test cases", path, len(content["training"]), len(content.get("test", [])))
