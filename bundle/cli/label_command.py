"""``label``: start the MONAI Label server on a folder of studies."""

from __future__ import annotations

import argparse

HELP = "start the MONAI Label server for 3D Slicer and REST clients"

MODELS = ("volumes", "discs", "lesions", "lesion_classes", "cells")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("--studies", help="folder of the images; labels are written into it")
    parser.add_argument("--models", help=f"with commas, some of {', '.join(MODELS)} (default: all that fit)")
    parser.add_argument("--model", help="folder of a training to serve instead of the shipped models")
    parser.add_argument(
        "--qc", help="qc.csv of the page of a run: offer failed cases first (default of --studies: their folder)"
    )
    parser.add_argument("--port", type=int, default=8000, help="port (default: 8000)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1, this machine)")
    parser.add_argument(
        "--work", help="folder for logs, sessions and trained weights (default: in ~/.local/share/keyslice/label)"
    )


def run(args: argparse.Namespace) -> None:
    """Run the command; the server replaces this process."""
    from bundle.server.start_command import start_server

    options = ("models", "model", "qc", "host", "port", "work")
    start_server(args.studies, **{name: getattr(args, name) for name in options})
