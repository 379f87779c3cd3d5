"""Networks, one a file, their registry, and loading of their weights."""

from .attention_unet import AttentionUNet
from .attention_vnet import AttentionVNet
from .factory import Network, get_network
from .norm import GroupedInstanceNorm
from .weights import WeightsError, load_weights

__all__ = [
    "AttentionUNet",
    "AttentionVNet",
    "GroupedInstanceNorm",
    "Network",
    "WeightsError",
    "get_network",
    "load_weights",
]
