"""Cost of every attention mechanism relative to the plain network.

Prints network(attention=X) / network(attention=None) for a forward pass and for a training step (forward and backward,
no optimizer). One thread, CPU time of the process (other processes on the machine do not count), the networks in
alternating order, the minimum of several repeats:

    python benchmarks/attention.py --repeats 9 --json costs.json
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from bundle.attention import Attention
from bundle.networks import AttentionUNet, AttentionVNet

NETWORKS: dict[str, type[nn.Module]] = {"unet": AttentionUNet, "vnet": AttentionVNet}
PLAIN = "none"
ALLOCATOR = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "4000000000", "MALLOC_ARENA_MAX": "1"}


def stable_allocator() -> None:
    """Restart this script with an allocator that keeps its memory.

    By default glibc returns every large tensor to the system and the next one pays for its page faults: a cost that
    depends on the machine's load, as large as the attention that is measured.
    """
    if any(os.environ.get(key) != value for key, value in ALLOCATOR.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **ALLOCATOR})


def forward_pass(network: nn.Module, x: torch.Tensor) -> None:
    """Run ``network`` on ``x`` without a graph."""
    with torch.no_grad():
        network(x)


def training_step(network: nn.Module, x: torch.Tensor) -> None:
    """Run ``network`` forward and backward on ``x``."""
    network.zero_grad(set_to_none=True)
    network(x).square().mean().backward()


def minimum_times(
    networks: dict[str, nn.Module], step: Callable[[nn.Module, torch.Tensor], None], x: torch.Tensor, repeats: int
) -> dict[str, float]:
    """Return the minimum CPU seconds of ``step`` for every network, after one uncounted step."""
    least = dict.fromkeys(networks, float("inf"))
    for repeat in range(repeats + 1):
        for name in list(networks) if repeat % 2 else reversed(networks):
            start = time.process_time()
            step(networks[name], x)
            if repeat:
                least[name] = min(least[name], time.process_time() - start)
    return least


def measure(
    network: str, mechanisms: list[str], size: list[int], train_size: list[int], repeats: int
) -> dict[str, dict]:
    """Return, for every mechanism, the seconds of both steps and their ratios to the plain network."""
    torch.manual_seed(0)
    kind = NETWORKS[network]
    results: dict[str, dict] = {name: {} for name in [PLAIN, *mechanisms]}
    for label, step, voxels in (("forward", forward_pass, size), ("training", training_step, train_size)):
        networks = {
            name: kind(3, 1, 4, attention=None if name == PLAIN else name, spatial_size=voxels) for name in results
        }
        times = minimum_times(networks, step, torch.randn(1, 1, *voxels), repeats)
        for name, seconds in times.items():
            results[name] |= {f"{label}_seconds": seconds, label: seconds / times[PLAIN]}
    return results


def main() -> None:
    """Measure, print the table and write it to the file of ``--json``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = sorted(name.lower() for name in Attention.names)
    parser.add_argument("--network", choices=list(NETWORKS), default="unet")
    parser.add_argument("--mechanisms", nargs="+", choices=known, default=known)
    parser.add_argument("--size", type=int, nargs=3, default=[64, 128, 128], help="voxels of the forward pass")
    parser.add_argument("--train-size", type=int, nargs=3, default=[32, 96, 96], help="voxels of the training step")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--json", type=Path, help="file to write the results to")
    args = parser.parse_args()
    torch.set_num_threads(1)
    results = measure(args.network, args.mechanisms, args.size, args.train_size, args.repeats)
    print(f"{args.network}, forward {args.size}, training step {args.train_size}, {args.repeats} repeats")
    print(f"{'attention':<10} {'forward s':>10} {'/ plain':>8} {'training s':>11} {'/ plain':>8}")
    for name, row in results.items():
        first, second = row["forward_seconds"], row["training_seconds"]
        print(f"{name:<10} {first:>10.3f} {row['forward']:>8.3f} {second:>11.3f} {row['training']:>8.3f}")
    if args.json:
        settings = {key: value for key, value in vars(args).items() if key != "json"}
        args.json.write_text(json.dumps({**settings, "results": results}, indent=2) + "\n")


if __name__ == "__main__":
    stable_allocator()
    main()
