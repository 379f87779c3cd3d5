"""``discs``: corrections of files of discs."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from .output_paths import output_file

logger = logging.getLogger(__name__)

NUMBERINGS = ("sct", "totalspineseg", "verse", "sct_template")

HELP = "renumber the discs of a file, or convert it into another format"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the commands and their options."""
    names = parser.add_subparsers(dest="name", required=True, metavar="command")
    description = "add a number to the levels of discs; positions and all other content stay"
    renumber = names.add_parser("renumber", help=description, description=description)
    renumber.add_argument("file", type=Path, help="CSV, JSON, .mrk.json or label map of discs")
    renumber.add_argument("--by", type=int, default=0, help="levels to add, such as -1 for one level further up")
    renumber.add_argument(
        "--from", dest="first", type=int, default=1, help="first disc to change (default: 1; 3 is C2-C3, 21 is L1-L2)"
    )
    renumber.add_argument("--to", dest="last", type=int, default=25, help="last disc to change (default: 25, L5-S1)")
    renumber.add_argument(
        "--thoracic_vertebrae", type=int, choices=(12, 13), help="number in this spine (default: that of the file)"
    )
    renumber.add_argument(
        "--lumbar_vertebrae", type=int, choices=(5, 6), help="number in this spine (default: that of the file)"
    )
    renumber.add_argument("--output", type=output_file, help="file to write (default: the file itself)")
    renumber.set_defaults(change=_renumber)
    description = "write discs in another format, such as a corrected CSV as a label map"
    convert = names.add_parser("convert", help=description, description=description)
    convert.add_argument("file", type=Path, help="CSV, JSON, .mrk.json or label map of discs")
    convert.add_argument("target", type=output_file, help="file to write: .nii.gz, .csv, .mrk.json, _poi.json or .json")
    convert.add_argument(
        "--image", type=Path, help="image of the discs, for a label map, points of interest and voxels"
    )
    convert.add_argument(
        "--numbering", choices=NUMBERINGS, default=NUMBERINGS[0], help="values of the label map (default: sct)"
    )
    convert.set_defaults(change=_convert)


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    args.change(args)


def _convert(args: argparse.Namespace) -> None:
    from bundle.tasks.spine.discs.convert_discs import convert_discs

    left_out = convert_discs(args.file, args.target, image=args.image, numbering=args.numbering)
    names = f", without {', '.join(disc.name for disc in left_out)}" if left_out else ""
    logger.info("%s: written%s", args.target, names)


def _renumber(args: argparse.Namespace) -> None:
    from bundle.tasks.spine.discs.levels import level_name
    from bundle.tasks.spine.discs.renumber import renumber_discs

    target = args.output or args.file
    given = {"thoracic": args.thoracic_vertebrae, "lumbar": args.lumbar_vertebrae}
    vertebrae = {name: count for name, count in given.items() if count is not None}
    new = renumber_discs(args.file, target, by=args.by, first=args.first, last=args.last, vertebrae=vertebrae)
    changes = [f"{level_name(old)} is {level_name(number)}" for old, number in new.items() if old != number]
    logger.info("%s: %s", target, ", ".join(changes) or "no disc in this range")
