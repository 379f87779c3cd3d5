"""``plan``: plan a training from a dataset, the machine and the hours."""

from __future__ import annotations

import argparse
import re

from .output_paths import output_folder

HELP = "plan a training of volumes: from a dataset, the memory and the hours to an overlay"


def memory_gb(text: str) -> float:
    """Return an amount of memory in GB, such as ``8``, ``8G`` or ``500M``.

    Raises:
        argparse.ArgumentTypeError: when it is none.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([gm]?)i?b?", text.strip().lower())
    if match is None or float(match[1]) == 0:
        raise argparse.ArgumentTypeError(f"{text}: is not an amount of memory, such as 8G or 500M")
    return float(match[1]) / (1024 if match[2] == "m" else 1)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("dataset_dir", help="folder of the dataset: nnU-Net, BIDS, MSD, or images and labels")
    parser.add_argument(
        "--output_dir", type=output_folder, required=True, help="folder for plan.json and datalist.json"
    )
    parser.add_argument("--datalist", help="datalist in MSD form, whose test cases and folds are kept")
    parser.add_argument("--hours", type=float, help="hours for the training (default: no limit)")
    parser.add_argument(
        "--memory",
        type=memory_gb,
        help="memory, on a GPU its own, such as 8G (default: half of what is available, on a GPU 90 %% of what it has)",
    )
    parser.add_argument("--device", default="auto", help="cpu, cuda, cuda:1 (default: the GPU if there is one)")
    parser.add_argument(
        "--test_share", type=float, default=0.2, help="share held out where there is no labeled test set (default: 0.2)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the split (default: 0)")
    parser.add_argument("--workers", type=int, help="cases read at a time (default: one per processor, at most 8)")
    parser.add_argument("--explain", action="store_true", help="also log the source of every choice")


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    from bundle.check.check_options import check_workers
    from bundle.planning import plan_training

    check_workers(args.workers)
    plan_training(
        args.dataset_dir,
        args.output_dir,
        datalist=args.datalist,
        hours=args.hours,
        memory_gb=args.memory,
        device=args.device,
        test_share=args.test_share,
        seed=args.seed,
        workers=args.workers,
        explain=args.explain,
    )
