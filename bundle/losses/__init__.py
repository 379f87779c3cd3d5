"""Losses, one per file."""

from functools import partial

from bundle.deprecated_names import deprecated_name

from .balanced_bce import BalancedBCELoss
from .bce_dice import BCEDiceLoss
from .contextual_loss import ContextualLoss
from .heatmap_loss import HeatmapLoss
from .joint_mse import JointMSELoss
from .mask_targets import boundary_target, region_target
from .segmentation_loss import SegmentationLoss, region_masks
from .skeletal_loss import SkeletalLoss, soft_argmax

__all__ = [
    "BCEDiceLoss",
    "BalancedBCELoss",
    "ContextualLoss",
    "HeatmapLoss",
    "JointMSELoss",
    "SegmentationLoss",
    "SkeletalLoss",
    "boundary_target",
    "region_masks",
    "region_target",
    "soft_argmax",
]

__getattr__ = partial(deprecated_name, "losses")
