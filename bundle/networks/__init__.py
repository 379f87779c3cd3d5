"""Networks, one a file, and loading of their weights."""

from .attention_unet import AttentionUNet
from .attention_vnet import AttentionVNet
from .norm import GroupedInstanceNorm
from .weights import WeightsError, load_weights

__all__ = ["AttentionUNet", "AttentionVNet", "GroupedInstanceNorm", "WeightsError", "load_weights"]
