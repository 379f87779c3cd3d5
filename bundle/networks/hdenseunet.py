"""H-DenseUNet: a densely connected U-Net on slices and one on the volume, their features fused.

Paper: Li et al., H-DenseUNet: Hybrid Densely Connected UNet for Liver and Tumor Segmentation from CT Volumes, IEEE
Transactions on Medical Imaging (2018), https://arxiv.org/abs/1709.07330. Differs from the original code as
:mod:`bundle.networks.denseunet` does; also, any number of slices; ``score_scale`` is 1, not 250, because images are
standardized and not in Hounsfield units; all parts are trained together, while the paper trains the network of the
slices first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from monai.networks.layers.factories import Conv
from torch import nn

from bundle.attention.attention_factory import AttentionSpec

from .blocks import dense


class HDenseUNet(nn.Module):
    """H-DenseUNet in 3D; returns logits in training and in evaluation.

    A 2D network sees every slice with its two neighbors; the first and the last slice are repeated. A 3D network sees
    the volume and the scores of the slices. The features of both are added, and a few layers map them to the classes.
    Attention sees the volume in both: after a dense block of the 2D network, the volume of its slices.

    Args:
        spatial_dims: 3.
        in_channels: channels of the input.
        out_channels: number of classes.
        branch_2d: options of the network of the slices: ``blocks`` ((6, 12, 36, 24)), ``growth`` (48), ``stem`` (96),
            ``decoder`` ((768, 384, 96, 96, 64)), ``compression`` (0.5) and ``bottleneck`` (4), see
            :class:`bundle.networks.DenseUNet`.
        branch_3d: the same options of the network of the volume: ``blocks`` ((3, 4, 12, 8)), ``growth`` (32), ``stem``
            (96), ``decoder`` ((504, 224, 192, 96, 64), the last the same as in ``branch_2d``), ``compression`` (0.5)
            and ``bottleneck`` (4).
        slice_dim: spatial axis of the slices.
        score_scale: factor of the scores of the slices in the input of the network of the volume.
        attention: mechanism after every dense block, see :func:`bundle.attention.get_attention_layer`.
        spatial_size: spatial size of the training patch. The slice mechanisms need it; it does not limit the input.
        act: MONAI activation option.
        norm: MONAI normalization option, or None.
        dropout: probability of dropping a value after the convolution of size 3 of the fusion.

    Raises:
        ValueError: when an option is out of range; the message starts with its name.

    Examples:
        >>> small = {"blocks": [1, 1], "growth": 4, "stem": 8, "decoder": [8, 8, 8]}
        >>> net = HDenseUNet(3, 1, 3, branch_2d=small, branch_3d=small)
        >>> net.eval()(torch.rand(1, 1, 16, 16, 5)).shape
        torch.Size([1, 3, 16, 16, 5])
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        *,
        branch_2d: Mapping[str, Any] | None = None,
        branch_3d: Mapping[str, Any] | None = None,
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
        dense.check_dropout(dropout)
        self.slice_dim = dense.spatial_axis(slice_dim, spatial_dims)
        self.score_scale = score_scale
        slices = dense.dense_layers("branch_2d", branch_2d, dense.LAYERS_2D)
        volume = dense.dense_layers("branch_3d", branch_3d, dense.LAYERS_3D)
        width = slices["decoder"][-1]
        if volume["decoder"][-1] != width:
            raise ValueError(
                f"branch_3d#decoder must end in {width} as branch_2d#decoder does, got {list(volume['decoder'])}."
            )
        gates = {"attention": attention, "spatial_size": spatial_size}
        options = {"slice_dim": self.slice_dim, "act": act, "norm": norm, **gates}
        self.slices = dense.DenseFeatures(2, 3 * in_channels, layers=slices, stacked=True, **options)
        self.volume = dense.DenseFeatures(3, in_channels + out_channels, layers=volume, **options)
        self.scores = Conv[Conv.CONV, 2](width, out_channels, 1)
        self.fusion = dense.conv_norm_act(3, width, width, act=act, norm=norm, dropout=dropout)
        self.head = Conv[Conv.CONV, 3](width, out_channels, 1)
        self.min_size = max(self.slices.min_size, self.volume.min_size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits ``(B, out_channels, D, H, W)`` of ``x`` ``(B, in_channels, D, H, W)``.

        Raises:
            ValueError: when a spatial axis except that of the slices is shorter than ``2 ** (blocks + 1)`` with the
                number of blocks of the deeper network.
        """
        dense.check_size(list(x.shape[2:]), self.min_size, self.slice_dim)
        axis = self.slice_dim + 2
        count = x.size(axis)
        features = self.slices(dense.unstack(neighborhoods(x, axis), axis), count)
        scores = dense.stack(self.scores(features), count, axis)
        volume = self.volume(torch.cat([x, self.score_scale * scores.to(x.dtype)], dim=1), 0)
        return self.head(self.fusion(volume + dense.stack(features, count, axis)))


def neighborhoods(x: torch.Tensor, axis: int) -> torch.Tensor:
    """Put the channels of the previous and of the next slice around those of every slice.

    Args:
        x: volumes ``(B, C, D, H, W)``.
        axis: axis of the slices; the first and the last are repeated at the ends.

    Returns:
        Volumes ``(B, 3 * C, D, H, W)``.
    """
    count = x.size(axis)
    index = torch.arange(count, device=x.device)
    previous = x.index_select(axis, torch.clamp(index - 1, min=0))
    following = x.index_select(axis, torch.clamp(index + 1, max=count - 1))
    return torch.cat([previous, x, following], dim=1)
