"""CPU time of ``python -m bundle --help``: this checkout compared with another one, alternating.

``python benchmarks/cli_start.py --base DIR`` prints the ratio of the least times; without ``--base`` it compares with
``import torch``, which no command line needs in order to show its help.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HELP = ["-m", "bundle", "--help"]


def cpu_seconds(arguments: list[str], folder: Path) -> float:
    """Return the CPU time of a Python process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-W", "ignore", *arguments], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", type=Path, help="root of another checkout (default: compare with import torch)")
    parser.add_argument("--repeats", type=int, default=5, help="repeats of each (default: 5)")
    args = parser.parse_args()
    base = (HELP, args.base) if args.base else (["-c", "import torch"], ROOT)
    times = [(cpu_seconds(HELP, ROOT), cpu_seconds(*base)) for _ in range(args.repeats)]
    own, other = (min(column) for column in zip(*times, strict=True))
    name = args.base or "import torch"
    print(f"--help: {own:.2f} CPU-s; {name}: {other:.2f} CPU-s; ratio {own / other:.3f}")


if __name__ == "__main__":
    main()
