"""nnU-Net next to this project: the same raw folder, the same machine, one thread, the same minutes of CPU time.

``python benchmarks/nnunet.py RAW OUT --minutes 30`` installs nnunetv2 in an environment of its own below OUT, plans,
trains ``3d_fullres`` on all cases of ``imagesTr`` with as many epochs as fit, and segments ``imagesTs`` to
``OUT/predictions``. RAW is a folder ``Dataset001_NAME`` in the raw layout of nnU-Net. The predictions are scored by
``configs/evaluate.json`` with ``--predictions OUT/predictions``.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import venv
from pathlib import Path

PACKAGES = ("torch==2.13.0", "nnunetv2==2.6.0", "dynamic-network-architectures<0.4")
"""From 0.4 on, dynamic-network-architectures needs timm and torchvision, of which no build loads with this torch."""


def main() -> None:
    """Install nnU-Net if needed, and run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("raw", type=Path, help="folder Dataset001_NAME in the raw layout of nnU-Net")
    parser.add_argument("output", type=Path, help="folder for the environment, the model and the predictions")
    parser.add_argument("--minutes", type=float, default=30, help="CPU time of the training (default: 30)")
    parser.add_argument("--environment", type=Path, help="environment with nnunetv2 (default: made in OUTPUT)")
    args = parser.parse_args()
    environment = args.environment or args.output / "environment"
    python = environment / "bin" / "python"
    if not python.exists():
        venv.create(environment, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", *PACKAGES], check=True)
    folders = {f"nnUNet_{name}": str(args.output / name) for name in ("preprocessed", "results")}
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    variables = {**os.environ, **folders, **threads, "nnUNet_raw": str(args.raw.parent)}
    script = Path(__file__).with_name("nnunet_run.py")
    command = ["nice", "-n", "10", str(python), str(script), str(args.raw), str(args.output), str(args.minutes)]
    sys.exit(subprocess.run(command, env=variables, check=False).returncode)


if __name__ == "__main__":
    main()
