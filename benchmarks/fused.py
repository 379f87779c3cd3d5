"""Cost of the fused instance normalization and of PAM relative to the plain U-Net.

Prints, for a forward pass and a training step, the time of the plain U-Net with the grouped normalization of this
project, of the PAM U-Net and of the fused PAM U-Net, each over that of the plain U-Net with PyTorch's InstanceNorm3d.
Method of ``benchmarks/attention.py``:

    python benchmarks/fused.py --repeats 9
"""

from __future__ import annotations

import argparse

import torch
from attention import forward_pass, minimum_times, stable_allocator, training_step
from torch import nn

from bundle.networks import AttentionUNet, GroupedInstanceNorm

PLAIN = "plain, torch.nn.InstanceNorm3d"


def with_torch_norm(network: nn.Module) -> nn.Module:
    """Replace the grouped instance normalization by PyTorch's."""
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, GroupedInstanceNorm):
                setattr(module, name, nn.InstanceNorm3d(child.num_channels, affine=True))
    return network


def build_networks(size: list[int]) -> dict[str, nn.Module]:
    """Return the four networks for volumes of ``size``."""
    return {
        PLAIN: with_torch_norm(AttentionUNet(3, 1, 4, attention=None)),
        "plain": AttentionUNet(3, 1, 4, attention=None),
        "pam": AttentionUNet(3, 1, 4, attention="pam", spatial_size=size),
        "pam, fused": AttentionUNet(3, 1, 4, attention="pam", spatial_size=size, fused=True),
    }


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, nargs=3, default=[64, 128, 128], help="voxels of the forward pass")
    parser.add_argument("--train-size", type=int, nargs=3, default=[32, 96, 96], help="voxels of the training step")
    parser.add_argument("--repeats", type=int, default=9)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    ratios = []
    for size, step in ((args.size, forward_pass), (args.train_size, training_step)):
        times = minimum_times(build_networks(size), step, torch.randn(1, 1, *size), args.repeats)
        ratios.append({name: seconds / times[PLAIN] for name, seconds in times.items()})
    print(f"{'network':<32} {'forward':>8} {'training':>9}")
    for name in ratios[0]:
        print(f"{name:<32} {ratios[0][name]:>8.3f} {ratios[1][name]:>9.3f}")


if __name__ == "__main__":
    stable_allocator()
    main()
