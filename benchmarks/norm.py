"""How much faster the grouped instance normalization is than ``torch.nn.InstanceNorm3d`` on a CPU.

Prints InstanceNorm3d / GroupedInstanceNorm for a forward pass and for forward and backward, with the method of
``benchmarks/attention.py``:

    python benchmarks/norm.py --repeats 15
"""

from __future__ import annotations

import argparse

import torch
from attention import forward_pass, minimum_times, stable_allocator, training_step
from torch import nn

from bundle.networks import GroupedInstanceNorm

SHAPES = ((1, 16, 64, 128, 128), (1, 32, 32, 64, 64), (2, 64, 16, 32, 32), (4, 128, 5, 7, 5))


def main() -> None:
    """Measure every shape and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(f"{'shape':<24} {'forward':>8} {'fwd+bwd':>8}")
    for shape in SHAPES:
        x = torch.randn(shape, requires_grad=True)
        norms: dict[str, nn.Module] = {
            "torch": nn.InstanceNorm3d(shape[1], affine=True),
            "grouped": GroupedInstanceNorm(shape[1]),
        }
        ratios = []
        for step in (forward_pass, training_step):
            times = minimum_times(norms, step, x, args.repeats)
            ratios.append(times["torch"] / times["grouped"])
        print(f"{'x'.join(map(str, shape)):<24} {ratios[0]:>8.2f} {ratios[1]:>8.2f}")


if __name__ == "__main__":
    stable_allocator()
    main()
