"""``crossval``: cross-validation with an ensemble of the folds."""

from __future__ import annotations

import argparse
from pathlib import Path

from bundle import ROOT

from .cluster_options import add_cluster_options, cluster_options
from .output_paths import output_folder

HELP = "train and score all folds, and make an ensemble of them"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command; further ones override the configs."""
    parser.allow_abbrev = False
    parser.epilog = "Further --id value arguments override the train, the evaluation and the inference config."
    parser.set_defaults(takes_overrides=True)
    train = str(Path(ROOT, "configs", "train.json"))
    parser.add_argument("--dataset_dir", required=True, help="folder of the dataset, as the task takes it")
    parser.add_argument("--output_dir", type=output_folder, required=True, help="folder to write to, or to resume")
    parser.add_argument("--config_file", default=train, help="train config, and overlays (default: train.json)")
    for option, file in (("--evaluation_file", "evaluate.json"), ("--inference_file", "inference.json")):
        parser.add_argument(option, help=f"default: {file} next to the train config, with the same overlays")
    parser.add_argument("--model", help="folder of a training, whose settings, not weights, every fold is trained with")
    parser.add_argument("--datalist", help="datalist with cases and folds; its test cases are not trained on")
    parser.add_argument("--folds", type=int, help="number of folds (default: those of the dataset, or 5)")
    parser.add_argument("--split_seed", type=int, help="assign cases to new folds with this seed")
    parser.add_argument("--epochs", type=int, help="epochs of every training (default: those of the config)")
    parser.add_argument("--nproc", type=int, default=1, help="processes that train a fold, one per GPU (default: 1)")
    add_cluster_options(parser)


def run(args: argparse.Namespace) -> None:
    """Run the command; exit with 2 when a fold failed or a case was skipped."""
    from bundle.experiments.crossval.cross_validation import crossval
    from bundle.experiments.experiment_options import parse_files, parse_overrides
    from bundle.inference.case_record import EXIT_BAD_CASES

    files = {name: getattr(args, name) for name in ("config_file", "evaluation_file", "inference_file")}
    content = crossval(
        args.dataset_dir,
        args.output_dir,
        command=args.command_line,
        cluster=cluster_options(args),
        overrides=parse_overrides(args.overrides),
        **{name: None if text is None else parse_files(text) for name, text in files.items()},
        **{name: getattr(args, name) for name in ("model", "datalist", "folds", "split_seed", "epochs", "nproc")},
    )
    if content["failed"] or content["skipped"]:
        raise SystemExit(EXIT_BAD_CASES)
