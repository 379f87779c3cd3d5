"""Attention mechanisms, one per file, and the factory that builds them by name."""

from .ag import AttentionGate
from .attention_factory import Attention, AttentionSpec, get_attention_layer, is_skip_gate, split_attention
from .cbam import CBAM
from .csa import ChannelSliceAttention
from .dual import DualAttention
from .large_kernel import LargeKernelAttention
from .pam import ProgressiveAttention, key_slices
from .pe import ProjectExcitation
from .sa import SliceAttention
from .sca import SliceChannelAttention
from .scse import SpatialChannelExcitation
from .se import SqueezeExcitation
from .split_attention import SplitAttention
from .stn import SpatialTransformer

__all__ = [
    "CBAM",
    "Attention",
    "AttentionGate",
    "AttentionSpec",
    "ChannelSliceAttention",
    "DualAttention",
    "LargeKernelAttention",
    "ProgressiveAttention",
    "ProjectExcitation",
    "SliceAttention",
    "SliceChannelAttention",
    "SpatialChannelExcitation",
    "SpatialTransformer",
    "SplitAttention",
    "SqueezeExcitation",
    "get_attention_layer",
    "is_skip_gate",
    "key_slices",
    "split_attention",
]
