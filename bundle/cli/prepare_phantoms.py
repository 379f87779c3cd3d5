"""``prepare phantom``: a tiny phantom in the layout of a volumetric dataset."""

from __future__ import annotations

import argparse
import logging
from typing import Any

from .output_paths import output_folder

logger = logging.getLogger(__name__)

LAYOUTS = ("released", "original")
PHANTOMS = ("bids", "brats2018", "folder", "hvsmr", "malc", "msd")


def add_phantoms(names: Any) -> None:
    """Add ``phantom`` to the commands of ``prepare``."""
    parser = names.add_parser("phantom", help="make a tiny phantom in the layout of a dataset of volumes")
    parser.add_argument("name", choices=PHANTOMS, help="dataset: %(choices)s")
    parser.add_argument("dataset_dir", type=output_folder, help="folder to write to")
    layout = "as released, or as the original project expects it (default: released)"
    parser.add_argument("--layout", choices=LAYOUTS, default=LAYOUTS[0], help=layout)
    parser.add_argument("--count", type=int, default=6, help="labeled cases (default: 6)")
    parser.add_argument("--size", type=int, default=40, help="voxels per side (default: 40)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first case (default: 0)")
    parser.set_defaults(prepare=_write_phantoms)


def _write_phantoms(args: argparse.Namespace) -> None:
    from bundle.phantoms.volumes.volume_phantoms import write_volume_phantoms

    options = {name: getattr(args, name) for name in ("layout", "count", "size", "seed")}
    write_volume_phantoms(args.name, args.dataset_dir, **options)
    logger.info("%s: %d cases in the layout of %s", args.dataset_dir, args.count, args.name)
