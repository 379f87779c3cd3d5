"""Attention residual learning network (ARL-CNN), a classifier in 2D or 3D.

Paper: Attention Residual Learning for Skin Lesion Classification (Zhang et al. 2019), IEEE Transactions on Medical
Imaging 38 (9). A residual block uses its own feature, normalized over the positions of the image, as a gate of its
shortcut; that costs one weight per block. Differs from the paper: any input size, 3D, width, and the normalization can
run over the channels, as in a published re-implementation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal, get_args

import torch
from monai.networks.layers.factories import Pool
from monai.networks.nets.resnet import ResNetBlock, ResNetBottleneck
from torch import nn

from bundle.utils.check_choice import check_choice
from bundle.utils.parse_null import parse_null

from .backbones.efficientnet_lite import InvertedResidual
from .backbones.resnet import DEPTHS, BlockName, ResNetTrunk
from .backbones.trunk import Trunk
from .backbones.trunk_factory import LITE, TrunkSpec, get_trunk, split_trunk

ARL_DEPTHS: dict[int, Sequence[int] | int] = {14: (1, 1, 1, 1), **{depth: depth for depth in DEPTHS}}
GateNormalization = Literal["spatial", "channel"]


class AttentionResidual(nn.Module):
    """Join a feature F and a shortcut x to ``F + x + alpha softmax(F) x``.

    Args:
        normalize: ``"spatial"``, softmax over all positions, separate for every channel; or ``"channel"``, softmax
            over the channels, separate for every position.
        alpha_init: alpha before training.
        learnable_alpha: whether alpha is trained.

    Raises:
        ValueError: when ``normalize`` is unknown.
    """

    def __init__(
        self, *, normalize: GateNormalization = "spatial", alpha_init: float = 0.001, learnable_alpha: bool = True
    ) -> None:
        super().__init__()
        check_choice("normalize", normalize, get_args(GateNormalization))
        self.spatial = normalize == "spatial"
        self.alpha: torch.Tensor
        if learnable_alpha:
            self.alpha = nn.Parameter(torch.tensor(float(alpha_init)))
        else:
            self.register_buffer("alpha", torch.tensor(float(alpha_init)))

    def forward(self, feature: torch.Tensor, shortcut: torch.Tensor) -> torch.Tensor:
        """Return their sum, of the shape of both, ``(B, C, ...)``."""
        if self.spatial:
            gate = torch.softmax(feature.flatten(2), -1).reshape(feature.shape)
        else:
            gate = torch.softmax(feature, 1)
        return feature + shortcut + (self.alpha * gate).to(feature.dtype) * shortcut


class AttentionResidualBlock(nn.Module):
    """A block of a ResNet with an :class:`AttentionResidual` in place of its sum; layers and their names are the same.

    Args:
        block: block whose layers are used.
        attention: joins feature and shortcut.
    """

    def __init__(self, block: ResNetBlock | ResNetBottleneck, attention: AttentionResidual) -> None:
        super().__init__()
        self.conv1, self.bn1, self.conv2, self.bn2 = block.conv1, block.bn1, block.conv2, block.bn2
        self.last = isinstance(block, ResNetBottleneck)
        self.conv3 = block.conv3 if isinstance(block, ResNetBottleneck) else nn.Identity()
        self.bn3 = block.bn3 if isinstance(block, ResNetBottleneck) else nn.Identity()
        self.act = block.act
        self.downsample = nn.Identity() if block.downsample is None else block.downsample
        self.attention = attention

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return ``relu(F(x) + s + alpha softmax(F(x)) s)`` with the shortcut s of ``x`` ``(B, C, ...)``."""
        feature = self.bn2(self.conv2(self.act(self.bn1(self.conv1(x)))))
        if self.last:
            feature = self.bn3(self.conv3(self.act(feature)))
        return self.act(self.attention(feature, self.downsample(x)))


class ARLNet(nn.Module):
    """ResNet with attention residual blocks, mean over the positions, and one linear layer; returns logits.

    :func:`bundle.networks.load_pretrained` loads the weights of ImageNet into all layers except the gates and the last
    one: those of an EfficientNet-Lite, or torchvision's of the same depth.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the input.
        out_channels: number of logits.
        trunk: ``"efficientnet_lite0"`` to ``"efficientnet_lite4"``, or a pair of one of these and its options, in place
            of the ResNet; its gates are in the blocks that have a shortcut. None, or the text ``"null"`` of a command
            line, for the ResNet.
        depth: 14, 18, 34, 50, 101 or 152, or the numbers of blocks of the four layers. 14 has bottlenecks, as 50 has.
        block: ``"basic"`` or ``"bottleneck"``; by default that of ``depth``.
        width: factor of all published numbers of channels.
        normalize: ``"spatial"`` or ``"channel"``, see :class:`AttentionResidual`; None, or ``"null"``, for no gates.
        alpha_init: weight of the gates before training.
        learnable_alpha: whether the weight of every block is trained.
        act: MONAI activation option.
        norm: MONAI normalization option.
        dropout: probability of dropping a value before the linear layer, or None.

    Raises:
        ValueError: when an option is unknown.

    Examples:
        >>> net = ARLNet(2, 3, 7, depth=14, width=0.125)
        >>> net.eval()(torch.rand(1, 3, 64, 64)).shape
        torch.Size([1, 7])
        >>> net.alphas()[0]
        0.0010000000474974513
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        *,
        trunk: TrunkSpec | None = None,
        depth: int | Sequence[int] = 50,
        block: BlockName | None = None,
        width: float = 1.0,
        normalize: GateNormalization | None = "spatial",
        alpha_init: float = 0.001,
        learnable_alpha: bool = True,
        act: Any = "relu",
        norm: Any = "batch",
        dropout: float | None = None,
    ) -> None:
        super().__init__()
        adn: dict[str, Any] = {"act": act, "norm": norm}
        self.trunk: Trunk
        trunk, normalize = parse_null(trunk), parse_null(normalize)
        if trunk is None:
            layers = _depth(depth)
            self.trunk = ResNetTrunk(spatial_dims, in_channels, depth=layers, block=block, width=width, **adn)
        else:
            name, options = split_trunk(trunk)
            self.trunk = get_trunk((name, {"head": True, **options}), spatial_dims, in_channels, choice=LITE, **adn)
        if normalize is not None:
            gates = partial(
                AttentionResidual, normalize=normalize, alpha_init=alpha_init, learnable_alpha=learnable_alpha
            )
            _add_gates(self.trunk, gates)
        self.pool = Pool[Pool.ADAPTIVEAVG, spatial_dims](1)
        self.dropout = nn.Identity() if dropout is None else nn.Dropout(dropout)
        self.fc = nn.Linear(self.trunk.channels[-1], out_channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits ``(B, out_channels)`` of ``x`` ``(B, in_channels, ...)``.

        Raises:
            ValueError: when a spatial axis is shorter than 32, or none is longer and the normalization is by instance.
        """
        return self.fc(self.dropout(self.pool(self.trunk(x)[-1]).flatten(1)))

    def alphas(self) -> list[float]:
        """Return the weight of the gate of every block, from the finest layer to the coarsest."""
        return [module.alpha.detach().item() for module in self.modules() if isinstance(module, AttentionResidual)]


def _depth(depth: int | Sequence[int]) -> int | Sequence[int]:
    if not isinstance(depth, int):
        return depth
    if depth not in ARL_DEPTHS:
        known = ", ".join(map(str, ARL_DEPTHS))
        raise ValueError(f"depth must be one of {known}, or four numbers of blocks, got {depth}.")
    return ARL_DEPTHS[depth]


def _add_gates(trunk: nn.Module, gate: Callable[[], AttentionResidual]) -> None:
    """Replace the sum of every block by a gate of its own."""
    if isinstance(trunk, ResNetTrunk):
        for layer in (trunk.layer1, trunk.layer2, trunk.layer3, trunk.layer4):
            blocks: list[Any] = list(layer)
            for index, plain in enumerate(blocks):
                layer[index] = AttentionResidualBlock(plain, gate())
    for module in trunk.modules():
        if isinstance(module, InvertedResidual) and module.residual is not None:
            module.residual = gate()
