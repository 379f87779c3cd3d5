"""Networks, one per file, their registry, and loading of their weights."""

from functools import partial

from bundle.deprecated_names import deprecated_name

from .anatomynet import AnatomyNet
from .arlnet import ARLNet
from .attention_deeplab import AttentionDeepLabV3Plus
from .attention_unet import AttentionUNet
from .attention_vnet import AttentionVNet
from .backbones.pretrained import load_pretrained
from .blocks.norm import GroupedInstanceNorm
from .candidate_net import CandidateNet
from .contextual_attention_unet import ContextualAttentionUNet
from .deeplab import DeepLabV3Plus
from .deepmedic import DeepMedic
from .denseunet import DenseUNet
from .fcn import FCN
from .hdenseunet import HDenseUNet
from .hourglass import StackedHourglass, fold_input_channels
from .network_factory import Network, get_network
from .shape_unet import ShapeUNet
from .slice_wise import SliceWise
from .trunk_unet import TrunkUNet
from .voxresnet import AutoContext, VoxResNet
from .weights import WeightsError, load_weights

Network.add_factory_class("anatomynet", AnatomyNet)
Network.add_factory_class("attention_deeplabv3plus", AttentionDeepLabV3Plus)
Network.add_factory_class("auto_context", AutoContext)
Network.add_factory_class("contextual_attention_unet", ContextualAttentionUNet)
Network.add_factory_class("deeplabv3plus", DeepLabV3Plus)
Network.add_factory_class("deepmedic", DeepMedic)
Network.add_factory_class("denseunet", DenseUNet)
Network.add_factory_class("fcn", FCN)
Network.add_factory_class("hdenseunet", HDenseUNet)
Network.add_factory_class("hourglass", StackedHourglass)
Network.add_factory_class("shape_unet", ShapeUNet)
Network.add_factory_class("slice_wise", SliceWise)
Network.add_factory_class("trunk_unet", TrunkUNet)
Network.add_factory_class("unet", AttentionUNet)
Network.add_factory_class("vnet", AttentionVNet)
Network.add_factory_class("voxresnet", VoxResNet)

__all__ = [
    "FCN",
    "ARLNet",
    "AnatomyNet",
    "AttentionDeepLabV3Plus",
    "AttentionUNet",
    "AttentionVNet",
    "AutoContext",
    "CandidateNet",
    "ContextualAttentionUNet",
    "DeepLabV3Plus",
    "DeepMedic",
    "DenseUNet",
    "GroupedInstanceNorm",
    "HDenseUNet",
    "Network",
    "ShapeUNet",
    "SliceWise",
    "StackedHourglass",
    "TrunkUNet",
    "VoxResNet",
    "WeightsError",
    "fold_input_channels",
    "get_network",
    "load_pretrained",
    "load_weights",
]

__getattr__ = partial(deprecated_name, "networks")
