"""Methods of class activation mapping: Grad-CAM, Grad-CAM++, HiResCAM.

Papers: Selvaraju et al., Grad-CAM, https://arxiv.org/abs/1610.02391; Chattopadhay et al., Grad-CAM++,
https://arxiv.org/abs/1710.11063; Draelos and Carin, HiResCAM, https://arxiv.org/abs/2011.08891. The first two are
``monai.visualize``'s. All of them explain one score per class, so the logits are summed over the voxels that the
segmentation gives to the class first (Vinogradova et al., Seg-Grad-CAM, https://arxiv.org/abs/2002.11434).

Differs from the papers: Grad-CAM++ omits its factor exp(score), one number per image. So windows can be compared, and a
sum over voxels does not overflow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

import torch
from monai.visualize import GradCAM, GradCAMpp, ModelWithHooks
from torch import nn
from torch.nn import functional

from bundle.utils.check_choice import check_choice
from bundle.utils.label_names import structures_of

CamMethod = Literal["hirescam", "gradcam", "gradcampp"]


class HiResCAM(GradCAM):
    """Gradient times activation, voxel by voxel, summed over the channels; negative sums count as 0.

    Grad-CAM averages the gradient of a channel over the map first. Behind an instance normalization, which
    ignores what is added to a complete channel, that average is close to zero whatever the channel shows.
    """

    def compute_map(  # type: ignore[override]
        self, x: torch.Tensor, class_idx: Any = None, retain_graph: bool = False, layer_idx: int = -1, **kwargs: Any
    ) -> torch.Tensor:
        """Return the map of the class ``class_idx``, at the size of the layer."""
        _, activations, gradients = self.nn_module(x, class_idx=class_idx, retain_graph=retain_graph, **kwargs)
        return functional.relu((activations[layer_idx] * gradients[layer_idx]).sum(1, keepdim=True))


METHODS: dict[CamMethod, type[GradCAM]] = {"hirescam": HiResCAM, "gradcam": GradCAM, "gradcampp": GradCAMpp}
TITLES: dict[CamMethod, str] = {"hirescam": "HiResCAM", "gradcam": "Grad-CAM", "gradcampp": "Grad-CAM++"}


class MaskedScore(nn.Module):
    """One score per class ``(B, K)``: the sum of the class's logits over the voxels that belong to the class.

    Args:
        network: network that returns logits ``(B, K, ...)``.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return the scores of ``x`` ``(B, C, ...)``, given the label map ``(B, 1, ...)`` of its segmentation."""
        logits = self.network(x.detach().requires_grad_())
        classes = torch.arange(logits.shape[1], device=x.device).reshape(1, -1, *[1] * (x.ndim - 2))
        return (logits * (labels == classes)).flatten(2).sum(2)


class ScoreHooks(ModelWithHooks):
    """MONAI's hooks with a score of value zero and the gradient of the class score, see the module's docstring."""

    def class_score(self, logits: torch.Tensor, class_idx: int) -> torch.Tensor:
        """Return the score less its value, which keeps the gradient."""
        score = super().class_score(logits, class_idx)
        return score - score.detach()

    def forward_hook(self, name: str) -> Callable[..., None]:
        """Return MONAI's hook, which checks first that the layer returns a feature map.

        Raises:
            ValueError: by the hook, when the layer returns something else.
        """
        store = super().forward_hook(name)

        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            if not isinstance(output, torch.Tensor) or output.ndim < 3:
                raise ValueError(f"cam_layer {name.partition('.')[2]!r} returns no feature map; choose another layer.")
            store(module, inputs, output)

        return hook


def check_method(method: CamMethod) -> None:
    """Check the name of a method.

    Raises:
        ValueError: when it is unknown.
    """
    check_choice("cam_method", method, get_args(CamMethod))


def build_cam(method: CamMethod, network: nn.Module | ScoreHooks, layer: str) -> GradCAM:
    """Return what maps a layer; its maps are at the size of the input and not scaled."""
    cam: GradCAM = METHODS[method](network, layer, postprocessing=_unchanged)  # type: ignore[arg-type]
    return cam


def select_structures(label_names: Mapping[str, int], structure: str | int | None) -> dict[str, int]:
    """Return the structures to map: all, or the one of that name or value.

    Raises:
        ValueError: when there is none of that name or value.
    """
    label_names = structures_of(label_names)
    chosen = {name: value for name, value in label_names.items() if structure in (None, name, value, str(value))}
    if not chosen:
        known = ", ".join(f"{name} ({value})" for name, value in label_names.items())
        raise ValueError(f"cam_class {structure!r} is none of the structures {known}.")
    return chosen


def find_layer(network: nn.Module, layer: str | None) -> str:
    """Return the name of the layer to map.

    Args:
        network: network to look into.
        layer: name of the layer; None for the decoder level before the last, or where there are not two, the bottleneck
            or the last encoder. The last level would show the segmentation itself, the deepest level a few voxels.

    Raises:
        ValueError: when there is no such layer; the message lists what can be chosen.
    """
    modules = dict(network.named_modules())
    lists = {name for name, module in modules.items() if isinstance(module, nn.ModuleList)}
    choices = [name for name in modules if name and name not in lists and name.rpartition(".")[0] in {"", *lists}]
    if layer is not None and layer in modules and layer not in {"", *lists}:
        return layer
    decoders = [name for name in choices if name.startswith("decoders.")]
    deepest = [name for name in choices if name.startswith("encoders.") or name == "bottleneck"]
    if layer is None and (decoders[:-1] or deepest):
        return (decoders[:-1] or deepest)[-1]
    raise ValueError(
        f"cam_layer must be a layer of {type(network).__name__}, got {layer!r}; choose one of {', '.join(choices)}, or "
        "a layer inside of one."
    )


def _unchanged(maps: torch.Tensor) -> torch.Tensor:
    return maps
