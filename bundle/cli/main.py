"""The commands of ``keyslice``, or ``python -m bundle``: what a config cannot do.

A command is a module with ``HELP``, ``add_arguments(parser)`` and ``run(args)``. Only ``run`` imports what does the
work, so that ``--help`` needs neither torch nor MONAI.
"""

from __future__ import annotations

import argparse
import logging
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from bundle.utils.mistakes import EXIT_MISTAKE, describe_mistake, show_mistake

from . import (
    average_command,
    bids_command,
    card_command,
    check_command,
    cohort_command,
    compare_command,
    convert_command,
    crossval_command,
    demo_command,
    discs_command,
    export_command,
    label_command,
    networks_command,
    pack_command,
    paired_command,
    plan_command,
    plausibility_command,
    prepare_command,
    quantize_command,
    report_command,
    root_command,
    skeleton_command,
    summarize_command,
)

DESCRIPTION = "Commands for what a config cannot do. Workflows run with python -m monai.bundle run."

COMMANDS = {
    "demo": demo_command,
    "root": root_command,
    "prepare": prepare_command,
    "skeleton": skeleton_command,
    "discs": discs_command,
    "check": check_command,
    "plan": plan_command,
    "cohort": cohort_command,
    "summarize": summarize_command,
    "report": report_command,
    "bids": bids_command,
    "label": label_command,
    "compare": compare_command,
    "crossval": crossval_command,
    "paired": paired_command,
    "convert": convert_command,
    "pack": pack_command,
    "export": export_command,
    "quantize": quantize_command,
    "networks": networks_command,
    "average": average_command,
    "plausibility": plausibility_command,
    "card": card_command,
}
"""The module of every command, in the order of ``--help``."""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    prog = "keyslice" if Path(sys.argv[0]).stem == "keyslice" else "python -m bundle"
    parser = argparse.ArgumentParser(prog=prog, description=DESCRIPTION)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, module in COMMANDS.items():
        command = commands.add_parser(name, help=module.HELP, description=module.HELP)
        command.set_defaults(run=module.run, takes_overrides=False)
        module.add_arguments(command)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Returns:
        The exit status: 0, or 2 for a mistake of the user, which is logged in one line.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    words = sys.argv[1:] if argv is None else list(argv)
    parser = build_parser()
    args, overrides = parser.parse_known_args(words)
    if overrides and not args.takes_overrides:
        parser.error(f"unrecognized arguments: {' '.join(overrides)}")
    args.overrides, args.command_line = overrides, shlex.join(["python", "-m", "bundle", *words])
    try:
        args.run(args)
    except Exception as error:
        message = describe_mistake(error)
        if message is None:
            raise
        show_mistake(message, error)
        return EXIT_MISTAKE
    return 0
