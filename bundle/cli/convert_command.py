"""``convert``: convert a checkpoint of the original project."""

from __future__ import annotations

import argparse
import logging

from .output_paths import output_file

logger = logging.getLogger(__name__)

HELP = "convert a checkpoint of the original project (AttentionBased-MIS)"

MODELS = (
    *("unet3d", "PEunet3d", "cSEunet3d", "csSEunet3d", "scSEunet3d", "agscSEunet3d"),
    *("vnet", "cSEvnet", "csSEvnet", "scSEvnet", "agscSEvnet"),
)
POOLINGS = ("avg", "max", "avg_and_max")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("file", help="checkpoint of the original project")
    parser.add_argument(
        "--output", type=output_file, required=True, help="weights to write, .pt; the config has the same name, .json"
    )
    parser.add_argument("--model", help=f"original model, where its keys are ambiguous: {', '.join(MODELS)}")
    for gate in ("slice", "channel"):
        text = f"--se_{gate}_pooling_type of the training (default: avg)"
        parser.add_argument(f"--{gate}_pooling", default="avg", choices=POOLINGS, help=text)
    parser.add_argument("--layer_order", help="--layer_order of the training, where the keys are ambiguous")
    parser.add_argument("--groups", type=int, default=2, help="--group_normnumber of the training (default: 2)")
    parser.add_argument("--roi_size", type=int, nargs=3, help="window in voxels, slices first, for the config")


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    from bundle.legacy.convert import convert_checkpoint, write_converted

    names = ("model", "slice_pooling", "channel_pooling", "layer_order", "groups")
    converted = convert_checkpoint(args.file, **{name: getattr(args, name) for name in names})
    config = write_converted(converted, args.output, args.roi_size)
    logger.info("%s: %s; wrote %s and %s", args.file, converted.found, args.output, config)
