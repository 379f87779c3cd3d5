"""Small networks whose maps and gates are known, and volumes for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.transforms import Compose, Orientationd
from torch import nn

from bundle.attention import get_attention_layer
from bundle.grid import ResampleSpacingd
from bundle.io import LoadVolumed

from .phantoms import noise, write_nifti

NAMES = {"a": 1, "b": 2}
SIZE = (4, 5, 6)
HEAD = [[0.1, 0.2, -0.1], [1.5, -0.5, 0.3], [-0.5, 1.5, 0.4]]
"""Weights of the logits: class 1 answers to bright voxels, class 2 to dark ones."""

SLICES = np.array([[0.9, 0.2, 0.4, 0.7], [0.1, 0.1, 0.8, 0.3]])
"""Gates of two channels and four slices, to be set by hand."""

CHANNELS = np.array([0.5, 0.25])
KEYS = np.array([[1, 0, 0, 1], [0, 0, 1, 0]])
"""Slices whose share of the softmax of SLICES is at least a quarter: see test_gates."""


class Linear(nn.Module):
    """Features A = layer(x), logits = head(A), both voxel by voxel; the other three are no layers to map."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.head = nn.Conv3d(1, 3, 1), nn.Conv3d(3, 3, 1)
        self.idle, self.pair, self.aside = nn.Identity(), Pair(), nn.Conv3d(1, 1, 1)
        with torch.no_grad():
            self.layer.weight.copy_(torch.tensor([1.0, -1.0, 0.5]).reshape(3, 1, 1, 1, 1))
            self.layer.bias.copy_(torch.tensor([0.2, 0.1, 1.0]))
            self.head.weight.copy_(torch.tensor(HEAD).reshape(3, 3, 1, 1, 1))
            self.head.bias.copy_(torch.tensor([1.0, 0.0, 0.0]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.pair(x)
        self.aside(x)
        return self.head(self.layer(x))


class Pair(nn.Module):
    """A layer that returns two tensors."""

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        return [x, x]


def volume(*size: int) -> torch.Tensor:
    """Return a random volume ``(1, 1, D, H, W)``."""
    return torch.as_tensor(noise((1, 1, *size)), dtype=torch.float32) * 2


class Gated(nn.Module):
    """A mechanism between two voxel-wise layers, its gates set by hand: they do not depend on the input."""

    def __init__(self, name: str, slice_dim: int = -1) -> None:
        super().__init__()
        size = [4, 4, 4]
        self.first, self.head = nn.Conv3d(1, 2, 1), nn.Conv3d(2, 3, 1)
        self.gate = get_attention_layer((name, {"slice_dim": slice_dim}), 3, 2, size)
        for parameter in self.gate.parameters():
            nn.init.zeros_(parameter)
        with torch.no_grad():
            self.gate.slice.bias2.copy_(torch.logit(torch.as_tensor(SLICES)))
            if name != "sa":
                self.gate.channel.fc[2].bias.copy_(torch.logit(torch.as_tensor(CHANNELS)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.gate(self.first(x)))


def prepared(folder: Path, affine: np.ndarray, pixdim: tuple[float, ...] = (1, 1, 1)) -> dict[str, Any]:
    """Write a random volume and return its preprocessed case."""
    source = write_nifti(folder / "scan.nii.gz", noise((5, 6, 8)), affine)
    steps = [
        LoadVolumed("image"),
        Orientationd("image", axcodes="RAS", labels=None),
        ResampleSpacingd("image", pixdim=pixdim),
    ]
    return Compose(steps)({"image": str(source)})
