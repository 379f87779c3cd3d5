"""``python -m bundle crossval``: cross-validation on the command line."""

from __future__ import annotations

import argparse
from typing import Any

from bundle.experiments.experiment_options import parse_files, parse_overrides
from bundle.inference.summary import EXIT_BAD_CASES

from .cross_validation import crossval
from .crossval_plan import TRAIN


def add_crossval(commands: Any) -> None:
    """Add ``crossval``, which exits with 2 where a fold failed or a case was left out."""
    parser = commands.add_parser(
        "crossval",
        allow_abbrev=False,
        help="train and score all folds, and make an ensemble of them",
        epilog="Further --id value arguments override the train, the evaluation and the inference config.",
    )
    parser.add_argument("--dataset_dir", required=True, help="folder of the dataset, as the task takes it")
    parser.add_argument("--output_dir", required=True, help="folder to write to, or to go on with")
    parser.add_argument("--config_file", default=str(TRAIN), help="train config, and overlays (default: train.json)")
    for option, file in (("--evaluation_file", "evaluate.json"), ("--inference_file", "inference.json")):
        parser.add_argument(option, help=f"default: {file} beside the train config, with the same overlays")
    parser.add_argument("--datalist", help="datalist that names cases and folds; its test cases are not trained on")
    parser.add_argument("--folds", type=int, help="number of folds to deal (default: those of the dataset, or 5)")
    parser.add_argument("--split_seed", type=int, help="deal new folds by this seed")
    parser.add_argument("--epochs", type=int, help="epochs of every training (default: those of the config)")
    parser.add_argument("--nproc", type=int, default=1, help="processes that train a fold, one a GPU (default: 1)")
    parser.set_defaults(run=_crossval)


def _crossval(args: argparse.Namespace) -> None:
    files = {name: getattr(args, name) for name in ("config_file", "evaluation_file", "inference_file")}
    content = crossval(
        args.dataset_dir,
        args.output_dir,
        command=args.command_line,
        overrides=parse_overrides(args.further),
        **{name: None if text is None else parse_files(text) for name, text in files.items()},
        **{name: getattr(args, name) for name in ("datalist", "folds", "split_seed", "epochs", "nproc")},
    )
    if content["failed"] or content["left_out"]:
        raise SystemExit(EXIT_BAD_CASES)
