"""``compare``: train attention mechanisms under the same budget and compare them."""

from __future__ import annotations

import argparse
from pathlib import Path

from bundle import ROOT

from .cluster_options import add_cluster_options, cluster_options
from .output_paths import output_folder

HELP = "train attention mechanisms under the same budget and compare them"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command; further ones override the configs."""
    parser.allow_abbrev = False
    parser.epilog = "Further --id value arguments override the train and the evaluation config."
    parser.set_defaults(takes_overrides=True)
    parser.add_argument(
        "--dataset_dir", required=True, help="folder with dataset.json, imagesTr/labelsTr or images/labels"
    )
    parser.add_argument("--output_dir", type=output_folder, required=True, help="folder to write to, or to resume")
    parser.add_argument(
        "--attention", default="none,se,csa,sca,pam", help="names with commas, or a JSON list (default: %(default)s)"
    )
    parser.add_argument("--folds", type=int, default=3, help="folds that are held out in turn (default: 3)")
    parser.add_argument("--seeds", type=int, default=3, help="trainings per mechanism and fold (default: 3)")
    parser.add_argument("--epochs", type=int, help="epochs of every training (default: those of the config)")
    parser.add_argument("--datalist", help="datalist with cases and folds; its test cases are not used")
    parser.add_argument("--split_seed", type=int, help="assign cases to new folds with this seed")
    for option, file in (("--config_file", "train.json"), ("--evaluation_file", "evaluate.json")):
        parser.add_argument(option, default=str(Path(ROOT, "configs", file)), help=f"default: configs/{file}")
    add_cluster_options(parser)


def run(args: argparse.Namespace) -> None:
    """Run the command; exit with 2 when a training failed or a case was skipped."""
    from bundle.experiments.compare.comparison import compare
    from bundle.experiments.compare.comparison_options import parse_attention
    from bundle.experiments.experiment_options import parse_files, parse_overrides
    from bundle.inference.case_record import EXIT_BAD_CASES

    content = compare(
        args.dataset_dir,
        args.output_dir,
        command=args.command_line,
        cluster=cluster_options(args),
        attention=parse_attention(args.attention),
        config_file=parse_files(args.config_file),
        evaluation_file=parse_files(args.evaluation_file),
        overrides=parse_overrides(args.overrides),
        **{name: getattr(args, name) for name in ("folds", "seeds", "epochs", "datalist", "split_seed")},
    )
    if content["failed"] or content["skipped"]:
        raise SystemExit(EXIT_BAD_CASES)
