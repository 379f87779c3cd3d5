"""Networks, one a file, and loading of their weights."""

from .attention_unet import AttentionUNet
from .norm import GroupedInstanceNorm

__all__ = ["AttentionUNet", "GroupedInstanceNorm"]
