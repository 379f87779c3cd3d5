"""How far an image is from the training images, by a feature of the trunk of the network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from monai.data import MetaTensor
from monai.inferers import Inferer
from torch import nn

from bundle.utils.parse_bool import parse_bool

from .case_findings import CaseFindings
from .judge_image import judge_image
from .plausibility import IMAGE, Plausibility

LEVEL = 2
"""Feature of the trunk that is compared, at stride 8: textures, whose means differ most between kinds of images."""


class FeatureDistanceInferer(Inferer):
    """Pass images to an inferer, and flag those that are unlike the training images of the network.

    The means of the channels of one feature of the trunk are compared with those of the training images by their
    Mahalanobis distance (Lee et al., "A simple unified framework for detecting out-of-distribution samples", NeurIPS
    2018). The result is kept; the JSON of the case gets ``"plausibility"``, a flag and a remark. The feature is that of
    the pass over the complete image, which is computed anyway, except by a runtime other than PyTorch.

    Args:
        inferer: inferer whose first pass is over the complete image, and that has, or wraps one that has, a method
            ``example``, which returns that image at the input size of the network.
        plausibility: knows the training images; None for nothing.
        enabled: true measures and writes the features to the JSON, from which ``python -m bundle plausibility`` learns;
            false does not measure; ``"auto"`` measures if ``plausibility`` knows the training images.

    Attributes:
        findings: what is known of the last image; None if nothing was measured.

    Raises:
        ValueError: when ``enabled`` is invalid.
    """

    def __init__(
        self,
        inferer: Callable[..., Any],
        *,
        plausibility: Plausibility | None = None,
        enabled: bool | int | str = "auto",
    ) -> None:
        super().__init__()
        self.inferer: Any = inferer
        self.plausibility = plausibility
        is_known = plausibility is not None and plausibility.is_known(IMAGE)
        self.enabled = parse_bool("measure_features", enabled, auto=is_known)
        self.writes_features = self.enabled and enabled != "auto"
        self.findings: CaseFindings | None = None

    @property
    def description(self) -> str | None:
        """Description of the wrapped inferer."""
        return getattr(self.inferer, "description", None)

    def __call__(self, inputs: torch.Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any) -> torch.Tensor:
        """Return what the wrapped inferer returns for an image ``(1, C, H, W)``.

        Raises:
            ValueError: when features are wanted of a network without a trunk.
        """
        self.findings = None
        trunk = getattr(network, "trunk", None)
        if not self.enabled:
            return self.inferer(inputs, network, *args, **kwargs)
        if trunk is None:
            raise ValueError(f"measure_features needs a network with a trunk, {type(network).__name__} has none.")
        with _outputs_of(trunk.gates[LEVEL]) as features:
            scores = self.inferer(inputs, network, *args, **kwargs)
            if not features:
                trunk(_example_of(self.inferer)(inputs))
        means = features[0][0].float().flatten(1).mean(1).tolist()
        self.findings = judge_image(
            means, self.plausibility, file=_file_of(inputs), writes_features=self.writes_features
        )
        return scores


@contextmanager
def _outputs_of(layer: nn.Module) -> Iterator[list[torch.Tensor]]:
    """Collect the outputs of a layer."""
    outputs: list[torch.Tensor] = []
    hook = layer.register_forward_hook(lambda _, __, output: outputs.append(output.detach()))
    try:
        yield outputs
    finally:
        hook.remove()


def _example_of(inferer: Any) -> Callable[[torch.Tensor], torch.Tensor]:
    while not hasattr(inferer, "example"):
        inferer = inferer.inferer
    return inferer.example


def _file_of(inputs: torch.Tensor) -> str:
    files = inputs.meta.get("filename_or_obj", ["?"]) if isinstance(inputs, MetaTensor) else ["?"]
    return str(files if isinstance(files, str) else files[0])
