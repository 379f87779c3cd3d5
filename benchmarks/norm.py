"""How much faster the grouped instance normalization is than ``torch.nn.InstanceNorm3d`` on a CPU, and how exact.

Prints InstanceNorm3d / GroupedInstanceNorm for a forward pass and for forward and backward, with the method of
``benchmarks/attention.py``. Then, with the channels innermost, it prints the time of a forward pass relative to that of
PyTorch's group normalization, and the largest errors of both against double precision:

    python benchmarks/norm.py --repeats 15
"""

from __future__ import annotations

import argparse

import torch
from attention import forward_pass, minimum_times, stable_allocator, training_step
from torch import nn
from torch.nn import functional

from bundle.networks import GroupedInstanceNorm

SHAPES = ((1, 16, 64, 128, 128), (1, 32, 32, 64, 64), (2, 64, 16, 32, 32), (4, 128, 5, 7, 5))
CHANNELS_LAST_SHAPES = ((1, 16, 40, 56, 40), (1, 32, 20, 28, 20), (1, 128, 5, 7, 5), (1, 32, 96, 96, 96))


class KernelNorm(GroupedInstanceNorm):
    """Instance normalization by PyTorch's kernel for groups, in every memory format."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalize every channel of every sample over its voxels."""
        return torch.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)


def measure_speed(repeats: int) -> None:
    """Print how much faster the grouped form is, for contiguous maps."""
    print(f"{'shape':<24} {'forward':>8} {'fwd+bwd':>8}")
    for shape in SHAPES:
        x = torch.randn(shape, requires_grad=True)
        norms: dict[str, nn.Module] = {
            "torch": nn.InstanceNorm3d(shape[1], affine=True),
            "grouped": GroupedInstanceNorm(shape[1]),
        }
        ratios = []
        for step in (forward_pass, training_step):
            times = minimum_times(norms, step, x, repeats)
            ratios.append(times["torch"] / times["grouped"])
        print(f"{'x'.join(map(str, shape)):<24} {ratios[0]:>8.2f} {ratios[1]:>8.2f}")


def measure_channels_last(repeats: int) -> None:
    """Print time and error with the channels innermost: noise, and the same noise, much smaller, around -0.8."""
    print(f"{'channels last':<24} {'time':>8} {'error':>8} {'kernel':>8} {'in air':>8} {'kernel':>8}")
    for shape in CHANNELS_LAST_SHAPES:
        noise = torch.randn(shape).contiguous(memory_format=torch.channels_last_3d)
        norms: dict[str, nn.Module] = {"exact": GroupedInstanceNorm(shape[1]), "kernel": KernelNorm(shape[1])}
        times = minimum_times(norms, forward_pass, noise, repeats)
        errors = [largest_error(norm, x) for x in (noise, 0.01 * noise - 0.8) for norm in norms.values()]
        columns = " ".join(f"{error:>8.1g}" for error in errors)
        print(f"{'x'.join(map(str, shape)):<24} {times['exact'] / times['kernel']:>8.2f} {columns}")


@torch.no_grad()
def largest_error(norm: nn.Module, x: torch.Tensor) -> float:
    """Return the largest deviation from double precision of a contiguous map."""
    exact = functional.instance_norm(x.double().contiguous(), eps=1e-5)
    return float((norm(x).double() - exact).abs().max())


def main() -> None:
    """Measure every shape and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    measure_speed(args.repeats)
    measure_channels_last(args.repeats)


if __name__ == "__main__":
    stable_allocator()
    main()
