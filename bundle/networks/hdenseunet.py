"""H-DenseUNet: a densely connected U-Net on slices and one on the volume, their features fused.

Paper: Li et al., H-DenseUNet: Hybrid Densely Connected UNet for Liver and Tumor Segmentation from CT Volumes, IEEE
Transactions on Medical Imaging (2018), https://arxiv.org/abs/1709.07330. Differs from the original code as
:mod:`bundle.networks.denseunet` does; besides, any number of slices; ``score_scale`` is 1, not 250, because images are
standardized and not in Hounsfield units; all parts are trained in one go, where the paper trains the slices first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from monai.networks.layers.factories import Conv
from torch import nn

from bundle.attention.attention_factory import AttentionSpec

from .denseunet import DenseFeatures, check_size, conv_norm_act, spatial_axis, stack, unstack


class HDenseUNet(nn.Module):
    """H-DenseUNet in 3D; returns logits in training and in evaluation.

    A 2D network sees every slice with its two neighbors, where the first and the last slice are their own neighbors. A
    3D network sees the volume and the scores of the slices. The features of both are added, and a few layers map them
    to the classes. Attention sees the volume in both: behind a dense block of the 2D network, that of its slices.

    Args:
        spatial_dims: 3.
        in_channels: channels of the input.
        out_channels: number of classes.
        blocks_2d: layers of every dense block of the network of the slices, from the finest.
        growth_2d: channels that a layer of it adds.
        stem_2d: channels of its first convolution.
        decoder_2d: channels of its decoder, from the coarsest; one more than there are blocks.
        blocks_3d: layers of every dense block of the network of the volume.
        growth_3d: channels that a layer of it adds.
        stem_3d: channels of its first convolution.
        decoder_3d: channels of its decoder; the last is that of ``decoder_2d``.
        compression: share of the channels that a transition between two blocks keeps.
        bottleneck: ratio of the inner channels of a layer to those that it adds.
        slice_dim: spatial axis of the slices.
        score_scale: factor of the scores of the slices in the input of the network of the volume.
        attention: mechanism behind every dense block, see :func:`bundle.attention.get_attention_layer`.
        spatial_size: spatial size of the training patch. The slice mechanisms need it; it limits no input.
        act: MONAI activation option.
        norm: MONAI normalization option, or None.
        dropout: probability of dropping a value behind the convolution of size 3 of the fusion.

    Raises:
        ValueError: when an option is out of range; the message starts with its name.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        *,
        blocks_2d: Sequence[int] = (6, 12, 36, 24),
        growth_2d: int = 48,
        stem_2d: int = 96,
        decoder_2d: Sequence[int] = (768, 384, 96, 96, 64),
        blocks_3d: Sequence[int] = (3, 4, 12, 8),
        growth_3d: int = 32,
        stem_3d: int = 96,
        decoder_3d: Sequence[int] = (504, 224, 192, 96, 64),
        compression: float = 0.5,
        bottleneck: int = 4,
        slice_dim: int = -1,
        score_scale: float = 1.0,
        attention: AttentionSpec = None,
        spatial_size: Sequence[int] | None = None,
        act: Any = "relu",
        norm: Any = "batch",
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        if spatial_dims != 3:
            raise ValueError(f"spatial_dims must be 3, got {spatial_dims}; DenseUNet segments images.")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must lie in [0, 1), got {dropout}.")
        self.slice_dim = spatial_axis(slice_dim, spatial_dims)
        self.score_scale = score_scale
        slices: dict[str, Any] = {"blocks": blocks_2d, "growth": growth_2d, "stem": stem_2d, "decoder": decoder_2d}
        volume: dict[str, Any] = {"blocks": blocks_3d, "growth": growth_3d, "stem": stem_3d, "decoder": decoder_3d}
        inner: dict[str, Any] = {
            "slice_dim": self.slice_dim,
            "compression": compression,
            "bottleneck": bottleneck,
            "attention": attention,
            "spatial_size": spatial_size,
            "act": act,
            "norm": norm,
        }
        self.slices = DenseFeatures(2, 3 * in_channels, stacked=True, suffix="_2d", **slices, **inner)
        self.volume = DenseFeatures(3, in_channels + out_channels, suffix="_3d", **volume, **inner)
        width = decoder_2d[-1]
        if decoder_3d[-1] != width:
            raise ValueError(f"decoder_3d must end in {width} as decoder_2d does, got {list(decoder_3d)}.")
        self.scores = Conv[Conv.CONV, 2](width, out_channels, 1)
        self.fusion = conv_norm_act(3, width, width, act=act, norm=norm, dropout=dropout)
        self.head = Conv[Conv.CONV, 3](width, out_channels, 1)
        self.min_size = max(self.slices.min_size, self.volume.min_size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits ``(B, out_channels, D, H, W)`` of ``x`` ``(B, in_channels, D, H, W)``.

        Raises:
            ValueError: when a spatial axis but that of the slices is shorter than ``2 ** (blocks + 1)`` with the
                number of blocks of the deeper network.
        """
        check_size(list(x.shape[2:]), self.min_size, self.slice_dim)
        axis = self.slice_dim + 2
        count = x.size(axis)
        features = self.slices(unstack(neighborhoods(x, axis), axis), count)
        scores = stack(self.scores(features), count, axis)
        volume = self.volume(torch.cat([x, self.score_scale * scores.to(x.dtype)], dim=1), 0)
        return self.head(self.fusion(volume + stack(features, count, axis)))


def neighborhoods(x: torch.Tensor, axis: int) -> torch.Tensor:
    """Put the channels of the slice before and of the slice behind around those of every slice.

    Args:
        x: volumes ``(B, C, D, H, W)``.
        axis: axis of the slices; the first and the last are repeated at the ends.

    Returns:
        Volumes ``(B, 3 * C, D, H, W)``.
    """
    count = x.size(axis)
    index = torch.arange(count, device=x.device)
    before = x.index_select(axis, torch.clamp(index - 1, min=0))
    behind = x.index_select(axis, torch.clamp(index + 1, max=count - 1))
    return torch.cat([before, x, behind], dim=1)
