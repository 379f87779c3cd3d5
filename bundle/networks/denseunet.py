"""DenseUNet: an encoder of densely connected blocks with a U-Net's decoder.

Paper: Li et al., H-DenseUNet: Hybrid Densely Connected UNet for Liver and Tumor Segmentation from CT Volumes, IEEE
Transactions on Medical Imaging (2018), https://arxiv.org/abs/1709.07330; the encoder of the defaults is DenseNet-161
(Huang et al., https://arxiv.org/abs/1608.06993). Differs from the original code: any size of input, with maps enlarged
to the size of those that are added to them; an attention mechanism may follow every dense block; the encoder is added
to the decoder in 3D as in 2D, through a convolution of size 1 if the widths differ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from monai.networks.layers.factories import Conv
from torch import nn

from bundle.attention.attention_factory import AttentionSpec
from bundle.utils.option_checks import check_spatial_dims

from .blocks.dense import LAYERS_2D, DenseFeatures, check_dropout, check_size, dense_layers, spatial_axis


class DenseUNet(nn.Module):
    """Densely connected U-Net in 2D or 3D; returns logits in training and in evaluation.

    The defaults are the network of the paper for slices. Its network for volumes has ``layers`` of
    :data:`bundle.networks.blocks.dense.LAYERS_3D`, ``slice_dim=-1`` and ``dropout=0``.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the input.
        out_channels: number of classes.
        layers: options of the layers: ``blocks``, layers of every dense block, from the finest ((6, 12, 36, 24));
            ``growth``, channels that a layer adds (48); ``stem``, channels of the first convolution (96); ``decoder``,
            channels of the decoder, from the coarsest, one more than there are blocks ((768, 384, 96, 96, 64));
            ``compression``, share of the channels that a transition between two blocks keeps (0.5); ``bottleneck``,
            ratio of the inner channels of a layer to ``growth`` (4).
        slice_dim: spatial axis that transitions do not pool, or None for none.
        attention: mechanism after every dense block, see :func:`bundle.attention.get_attention_layer`.
        spatial_size: spatial size of the training patch. The slice mechanisms need it; it does not limit the input.
        act: MONAI activation option.
        norm: MONAI normalization option, or None.
        dropout: probability of dropping a value after the last convolution of size 3.

    Raises:
        ValueError: when an option is out of range; the message starts with its name.

    Examples:
        >>> net = DenseUNet(2, 1, 3, layers={"blocks": [2, 2], "growth": 4, "stem": 8, "decoder": [8, 8, 8]})
        >>> net.eval()(torch.rand(1, 1, 32, 48)).shape
        torch.Size([1, 3, 32, 48])
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        *,
        layers: Mapping[str, Any] | None = None,
        slice_dim: int | None = None,
        attention: AttentionSpec = None,
        spatial_size: Sequence[int] | None = None,
        act: Any = "relu",
        norm: Any = "batch",
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        check_spatial_dims(spatial_dims)
        check_dropout(dropout)
        self.slice_dim = -1 if slice_dim is None else spatial_axis(slice_dim, spatial_dims)
        layers = dense_layers("layers", layers, LAYERS_2D)
        gates = {"attention": attention, "spatial_size": spatial_size}
        options = {"slice_dim": self.slice_dim, "act": act, "norm": norm, "dropout": dropout, **gates}
        self.features = DenseFeatures(spatial_dims, in_channels, layers=layers, **options)
        self.head = Conv[Conv.CONV, spatial_dims](layers["decoder"][-1], out_channels, 1)
        self.min_size = self.features.min_size

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits ``(B, out_channels, ...)`` of ``x`` ``(B, in_channels, ...)``.

        Raises:
            ValueError: when a spatial axis except ``slice_dim`` is shorter than ``2 ** (len(blocks) + 1)``.
        """
        check_size(list(x.shape[2:]), self.min_size, self.slice_dim)
        return self.head(self.features(x, 0))
