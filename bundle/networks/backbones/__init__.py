"""Trunks: ResNet, EfficientNet-Lite, VGG, Xception, by name."""

from .pretrained import load_pretrained

__all__ = [
    "load_pretrained",
]
