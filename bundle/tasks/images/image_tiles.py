"""Inference on images of any size: at the input size of the network, optionally refined by tiles."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from monai.data import MetaTensor
from monai.data.utils import compute_importance_map
from monai.inferers import Inferer
from monai.utils import convert_to_dst_type
from torch.nn import functional

from bundle.grid.crop_border import restore_border
from bundle.inference.window_ensemble import Ensemble
from bundle.inference.windows import subsets, window_starts
from bundle.utils.parse_bool import parse_bool

MIN_UNCERTAINTY = 0.05
"""Uncertainty, from 0 to 1, up to which the result of the complete image is kept."""


class ImageTilesInferer(Inferer):
    """Run a network of a fixed input size on images of any size; returns scores at the size of the images.

    Scores of an image whose border :class:`bundle.grid.CropConstantBorderd` has cropped have the size of its file.

    The complete image is resized to the input size of the network, and its scores are resized back. With
    ``tile_size``, tiles of that many pixels are resized to the input size as well, which gives finer borders. As a tile
    inside or outside a lesion lacks context, the scores of the complete image are used where they are confident, and
    those of the tiles where they are uncertain: near borders. The uncertainty is 1 minus the difference of the two
    largest probabilities, dilated by ``reach``. The scores are blended smoothly, between the two and between tiles.
    Tiles without uncertainty are not computed, so small regions in confident background are not found;
    ``context=False`` uses only tiles.

    Args:
        roi_size: input size ``(H, W)`` of the network; the aspect ratio is not kept, as in
            :class:`bundle.tasks.images.ResizeImaged`.
        tile_size: size ``(H, W)`` of a tile in pixels of the image, or one number for both; None for no tiles. Images
            that are not larger than a tile are not tiled.
        overlap: minimum overlap of neighboring tiles as a fraction of their size, in [0, 1).
        sw_batch_size: number of tiles per forward pass of the network.
        context: use the scores of the complete image where they are confident; a text such as ``"false"`` is accepted.
        reach: radius of the dilation of the uncertainty in pixels at the input size of the network; in pixels of the
            file it should be less than half of the overlap of tiles, so that tiles show the border that they refine.
        mirror_axes: axes of an image to mirror, 0 for rows and 1 for columns: scores are the mean over all mirrorings,
            ``2 ** len(mirror_axes)`` forward passes.

    Raises:
        ValueError: when a size is not positive, ``overlap`` is outside [0, 1), ``reach`` is negative, or an axis is
            neither 0 nor 1.

    Examples:
        >>> network = torch.nn.Conv2d(3, 1, kernel_size=3, padding=1)
        >>> ImageTilesInferer((32, 32), tile_size=48)(torch.rand(1, 3, 60, 90), network).shape
        torch.Size([1, 1, 60, 90])
    """

    def __init__(
        self,
        roi_size: Sequence[int],
        *,
        tile_size: int | Sequence[int] | None = None,
        overlap: float = 0.25,
        sw_batch_size: int = 4,
        context: bool | str = True,
        reach: int = 4,
        mirror_axes: Sequence[int] = (),
    ) -> None:
        super().__init__()
        self.roi_size = _sides("roi_size", roi_size)
        self.tile_size = None if tile_size is None else _sides("tile_size", tile_size)
        if not 0 <= overlap < 1:
            raise ValueError(f"overlap must lie in [0, 1), got {overlap}.")
        if sw_batch_size < 1 or reach < 0:
            raise ValueError(f"sw_batch_size must be 1 or more and reach 0 or more, got {sw_batch_size} and {reach}.")
        if not set(mirror_axes) <= {0, 1}:
            raise ValueError(f"mirror_axes must be 0 for rows, 1 for columns or both, got {list(mirror_axes)}.")
        self.overlap, self.sw_batch_size, self.reach = overlap, sw_batch_size, reach
        self.mirrorings = subsets([axis + 2 for axis in sorted(set(mirror_axes))])
        self.context = parse_bool("context", context)

    def __call__(
        self, inputs: torch.Tensor, network: Callable[..., torch.Tensor], *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        """Return scores ``(B, K, H, W)``, float32, of images ``(B, C, H, W)``.

        Args:
            inputs: images.
            network: returns logits ``(N, K, h, w)`` for ``(N, C, *roi_size)``.
            args: passed to the network.
            kwargs: passed to the network.

        Raises:
            ValueError: when ``inputs`` does not have four axes.
        """
        if inputs.ndim != 4:
            raise ValueError(f"images must have the shape (B, C, H, W), got {tuple(inputs.shape)}.")
        images = inputs.as_tensor() if isinstance(inputs, MetaTensor) else inputs

        ensemble = Ensemble([network], self.mirrorings)

        def run(parts: torch.Tensor) -> torch.Tensor:
            return ensemble(parts, *args, **kwargs).float().clone()

        restored = [restore_border(self._scores(image[None], run)[0], inputs, i) for i, image in enumerate(images)]
        scores = torch.stack(restored)
        return convert_to_dst_type(scores, inputs, dtype=scores.dtype)[0]

    def example(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the first image ``(1, C, h, w)`` at the input size of the network."""
        return resized(inputs.as_tensor()[:1] if isinstance(inputs, MetaTensor) else inputs[:1], self.roi_size)

    def _scores(self, image: torch.Tensor, run: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
        """Return the scores of one image ``(1, C, H, W)``."""
        size = image.shape[2:]
        small = run(resized(image, self.roi_size))
        complete = resized(small, size)
        if self.tile_size is None or all(side <= tile for side, tile in zip(size, self.tile_size, strict=True)):
            return complete
        blend = resized(self._tile_weight(small), size)[0, 0].clamp_(0, 1) if self.context else complete.new_ones(size)
        places = [place for place in _places(size, self.tile_size, self.overlap) if bool((blend[place] > 0).any())]
        total, weights = torch.zeros_like(complete[0]), torch.zeros_like(blend)
        for start in range(0, len(places), self.sw_batch_size):
            batch = places[start : start + self.sw_batch_size]
            tiles = torch.cat([resized(image[(..., *place)], self.roi_size) for place in batch])
            for place, scores in zip(batch, run(tiles), strict=True):
                tile = resized(scores[None], blend[place].shape)[0]
                weight = compute_importance_map(tuple(tile.shape[1:]), mode="gaussian", device=tile.device)
                total[(..., *place)] += tile * weight
                weights[place] += weight
        tiled = total / weights.clamp_min(torch.finfo(weights.dtype).tiny)
        return torch.lerp(complete, tiled[None], blend)

    def _tile_weight(self, scores: torch.Tensor) -> torch.Tensor:
        """Return the weight ``(1, 1, h, w)`` of tiles in the result, from 0 to 1, by the scores of an image."""
        if scores.shape[1] == 1:
            confidence = torch.tanh(scores.abs() / 2)
        else:
            largest = scores.softmax(1).topk(2, dim=1).values
            confidence = largest[:, :1] - largest[:, 1:]
        uncertainty = functional.max_pool2d(1 - confidence, 2 * self.reach + 1, stride=1, padding=self.reach)
        return ((uncertainty - MIN_UNCERTAINTY) / (1 - MIN_UNCERTAINTY)).clamp_min(0)


def resized(maps: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """Return maps ``(N, C, H, W)`` at another size, with smoothing where they get smaller."""
    if tuple(maps.shape[2:]) == tuple(size):
        return maps
    return functional.interpolate(maps.float(), size=tuple(size), mode="bilinear", antialias=True)


def _sides(name: str, size: int | Sequence[int]) -> tuple[int, int]:
    sides = (size, size) if isinstance(size, int) else tuple(size)
    if len(sides) != 2 or min(sides) < 1:
        raise ValueError(f"{name} must be two positive numbers, got {size}.")
    return sides[0], sides[1]


def _places(size: Sequence[int], tile: Sequence[int], overlap: float) -> Iterator[tuple[slice, slice]]:
    """Yield the tiles of an image of ``size`` pixels."""
    sides = [min(pair) for pair in zip(size, tile, strict=True)]
    starts = [window_starts(length, side, overlap) for length, side in zip(size, sides, strict=True)]
    for top, left in itertools.product(*starts):
        yield slice(top, top + sides[0]), slice(left, left + sides[1])
