"""Attention mechanisms, one a file, and the factory that builds them by name."""

from .csa import ChannelSliceAttention
from .factory import Attention, AttentionSpec, get_attention_layer
from .pam import ProgressiveAttention, key_slices
from .sa import SliceAttention
from .sca import SliceChannelAttention
from .se import SqueezeExcitation

__all__ = [
    "Attention",
    "AttentionSpec",
    "ChannelSliceAttention",
    "ProgressiveAttention",
    "SliceAttention",
    "SliceChannelAttention",
    "SqueezeExcitation",
    "get_attention_layer",
    "key_slices",
]
