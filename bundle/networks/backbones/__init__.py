"""Trunks: ResNet, VGG, Xception, by name."""

from .torchvision_weights import load_torchvision_weights

__all__ = [
    "load_torchvision_weights",
]
