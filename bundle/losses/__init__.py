"""Losses."""

from .balanced_bce import BalancedBCELoss
from .bce_dice import BCEDiceLoss
from .contextual import ContextualLoss
from .heatmap import HeatmapLoss
from .joint_mse import JointMSELoss
from .segmentation import SegmentationLoss, region_masks
from .skeletal import SkeletalLoss, soft_argmax
from .targets import boundary_target, region_target

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
