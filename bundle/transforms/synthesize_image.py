"""Random images of label maps, for networks that are trained without images.

Paper: Billot et al., SynthSeg: Segmentation of brain MRI scans of any contrast and resolution without retraining,
Medical Image Analysis 86 (2023), section 3.1: every structure gets random intensities, so that a network learns shapes
and not contrasts. Deformation, bias field, blur and noise of the paper are MONAI's transforms; the thickness of slices
and the field of view are others of this package. Differs from the paper: the standard deviations are uniform up to
``std_range`` of the range of the means, and structures of one texture are a list of pairs, not of classes.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, Randomizable
from monai.utils import convert_to_dst_type


class SynthesizeImaged(MapTransform, Randomizable):
    """Replace label maps by images with one random normal distribution of intensities per label value.

    Args:
        keys: keys of the label maps ``(1, D, H, W)``; their images are float32 on the same grid.
        mean_range: range of the mean intensity of a structure.
        std_range: range of the standard deviation within a structure.
        pairs: label values that get the same distribution, such as the left and the right of a structure.
        background: label values that are 0 in the image, without noise, with the probability ``blank``.
        blank: probability of a blank background; otherwise it has a distribution as the structures.
        allow_missing_keys: skip missing keys.

    Raises:
        ValueError: when a range is not two increasing numbers, or a label map has fractions.

    Examples:
        >>> synthesize = SynthesizeImaged("label", pairs=[[1, 2]], std_range=[0, 0]).set_random_state(seed=0)
        >>> image = synthesize({"label": torch.tensor([[[[0, 1, 2]]]])})["label"]
        >>> image.dtype, bool(image[0, 0, 0, 1] == image[0, 0, 0, 2])
        (torch.float32, True)
    """

    def __init__(
        self,
        keys: KeysCollection,
        *,
        mean_range: Sequence[float] = (0.0, 1.0),
        std_range: Sequence[float] = (0.0, 0.15),
        pairs: Sequence[Sequence[int]] = (),
        background: Sequence[int] = (0,),
        blank: float = 0.5,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        for name, limits in (("mean_range", mean_range), ("std_range", std_range)):
            if len(limits) != 2 or limits[0] > limits[1]:
                raise ValueError(f"{name} must be two increasing numbers, got {list(limits)}.")
        self.mean_range, self.std_range, self.blank = list(mean_range), list(std_range), blank
        self.partner = {value: pair[0] for pair in pairs for value in pair}
        self.background = set(background)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the data with images in the place of label maps."""
        d = dict(data)
        for key in self.key_iterator(d):
            d[key] = convert_to_dst_type(self._image(torch.as_tensor(d[key])), d[key], dtype=torch.float32)[0]
        return d

    def _image(self, label: torch.Tensor) -> torch.Tensor:
        values, index = label.as_subclass(torch.Tensor).unique(return_inverse=True)
        if bool((values != values.round()).any()):
            raise ValueError(f"label map must have integers, got values such as {values[values != values.round()][0]}.")
        means, stds = self._distributions([int(value) for value in values])
        generator = torch.Generator().manual_seed(int(self.R.randint(2**31)))
        noise = torch.randn(label.shape, generator=generator)
        return noise.mul_(torch.tensor(stds)[index]).add_(torch.tensor(means)[index])

    def _distributions(self, values: Sequence[int]) -> tuple[list[float], list[float]]:
        """Return mean and standard deviation of every value."""
        drawn: dict[int, tuple[float, float]] = {}
        for value in values:
            drawn.setdefault(self.partner.get(value, value), (self._draw(self.mean_range), self._draw(self.std_range)))
        if self.R.random() < self.blank:
            drawn.update(dict.fromkeys(self.background, (0.0, 0.0)))
        means, stds = zip(*(drawn[self.partner.get(value, value)] for value in values), strict=True)
        return list(means), list(stds)

    def _draw(self, limits: Sequence[float]) -> float:
        return float(self.R.uniform(limits[0], limits[1]))
