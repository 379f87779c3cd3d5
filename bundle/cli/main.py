"""Commands for what a config cannot do: ``python -m bundle <command>``."""

from __future__ import annotations

import argparse
import logging
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bundle import ROOT
from bundle.attention.squeeze import POOLINGS
from bundle.check.check_command import add_check
from bundle.experiments.compare.comparison import compare
from bundle.experiments.compare.comparison_options import parse_attention
from bundle.experiments.crossval.crossval_command import add_crossval
from bundle.experiments.experiment_options import parse_files, parse_overrides
from bundle.export.model_card import write_model_card
from bundle.export.network_table import measure_networks, write_network_table
from bundle.export.pack import add_pack
from bundle.inference.summary import EXIT_BAD_CASES
from bundle.legacy.convert import convert_checkpoint, write_converted
from bundle.legacy.original_checkpoints import MODELS
from bundle.networks.weight_average import average_weights
from bundle.server.start_command import add_label
from bundle.utils.errors import BundleError

from .demo import run_demo
from .prepare import add_prepare
from .prepare_spine import add_skeleton

logger = logging.getLogger("bundle")

MISTAKES = (BundleError, ModuleNotFoundError)
"""Errors that are reported in one line, without a traceback."""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = argparse.ArgumentParser(prog="python -m bundle", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    demo = commands.add_parser("demo", help="segment the hippocampi of the MNI152 template")
    demo.add_argument("--output_dir", default="demo", help="folder to write to (default: demo)")
    demo.set_defaults(run=lambda args: run_demo(args.output_dir))

    add_prepare(commands)
    add_skeleton(commands)
    add_check(commands)
    add_label(commands)
    _add_compare(commands)
    add_crossval(commands)
    _add_convert(commands)
    add_pack(commands)

    networks = commands.add_parser("networks", help="count and measure the networks for the table in docs/networks.md")
    networks.add_argument("--repeats", type=int, default=3, help="repeats of the timing (default: 3)")
    networks.set_defaults(run=lambda args: write_network_table(measure_networks(repeats=args.repeats)))

    average = commands.add_parser("average", help="write the mean of the weights of several trainings of one network")
    average.add_argument("files", nargs="+", help="files of weights")
    average.add_argument("--output", required=True, help="file to write, .pt")
    average.set_defaults(run=lambda args: average_weights(args.files, args.output))

    card = commands.add_parser("card", help="write models/README.md from the metadata of the tasks")
    card.set_defaults(run=lambda args: write_model_card())
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; return the exit status: 0, or 2 for a user's mistake, which is told in one line."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    words = sys.argv[1:] if argv is None else list(argv)
    parser = build_parser()
    args, further = parser.parse_known_args(words)
    if further and args.command not in ("compare", "crossval"):
        parser.error(f"unrecognized arguments: {' '.join(further)}")
    args.further, args.command_line = further, shlex.join(["python", "-m", "bundle", *words])
    try:
        args.run(args)
    except MISTAKES as error:
        logger.error("%s", error)
        return 2
    return 0


def _add_compare(commands: Any) -> None:
    parser = commands.add_parser(
        "compare",
        allow_abbrev=False,
        help="train attention mechanisms under the same budget and compare them",
        epilog="Further --id value arguments override the train and the evaluation config.",
    )
    parser.add_argument(
        "--dataset_dir", required=True, help="folder with dataset.json, imagesTr/labelsTr or images/labels"
    )
    parser.add_argument("--output_dir", required=True, help="folder to write to, or to go on with")
    parser.add_argument(
        "--attention", default="none,se,csa,sca,pam", help="names with commas, or a JSON list (default: %(default)s)"
    )
    parser.add_argument("--folds", type=int, default=3, help="folds that are held out in turn (default: 3)")
    parser.add_argument("--seeds", type=int, default=3, help="trainings a mechanism and fold (default: 3)")
    parser.add_argument("--epochs", type=int, help="epochs of every training (default: those of the config)")
    parser.add_argument("--datalist", help="datalist that names cases and folds; its test cases are not touched")
    parser.add_argument("--split_seed", type=int, help="deal new folds by this seed")
    for option, file in (("--config_file", "train.json"), ("--evaluation_file", "evaluate.json")):
        parser.add_argument(option, default=str(Path(ROOT, "configs", file)), help=f"default: configs/{file}")
    parser.set_defaults(run=_compare)


def _compare(args: argparse.Namespace) -> None:
    content = compare(
        args.dataset_dir,
        args.output_dir,
        command=args.command_line,
        attention=parse_attention(args.attention),
        config_file=parse_files(args.config_file),
        evaluation_file=parse_files(args.evaluation_file),
        overrides=parse_overrides(args.further),
        **{name: getattr(args, name) for name in ("folds", "seeds", "epochs", "datalist", "split_seed")},
    )
    if content["failed"] or content["left_out"]:
        raise SystemExit(EXIT_BAD_CASES)


def _add_convert(commands: Any) -> None:
    parser = commands.add_parser("convert", help="turn a checkpoint of the original project into one of this")
    parser.add_argument("file", help="checkpoint of the original project (AttentionBased-MIS)")
    parser.add_argument("--output", required=True, help="weights to write, .pt; beside them a config, .json")
    parser.add_argument("--model", help=f"original model, where its keys do not tell: {', '.join(MODELS)}")
    for gate in ("slice", "channel"):
        told = f"--se_{gate}_pooling_type of the training (default: avg)"
        parser.add_argument(f"--{gate}_pooling", default="avg", choices=POOLINGS, help=told)
    parser.add_argument("--layer_order", help="--layer_order of the training, where the keys do not tell")
    parser.add_argument("--groups", type=int, default=2, help="--group_normnumber of the training (default: 2)")
    parser.add_argument("--roi_size", type=int, nargs=3, help="window in voxels, slices first, for the config")
    parser.set_defaults(run=_convert)


def _convert(args: argparse.Namespace) -> None:
    names = ("model", "slice_pooling", "channel_pooling", "layer_order", "groups")
    converted = convert_checkpoint(args.file, **{name: getattr(args, name) for name in names})
    config = write_converted(converted, args.output, args.roi_size)
    logger.info("%s: %s; wrote %s and %s", args.file, converted.found, args.output, config)


if __name__ == "__main__":
    sys.exit(main())
