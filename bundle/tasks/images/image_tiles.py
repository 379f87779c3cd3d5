"""Inference on pictures of any size: as a whole at the network's size, or refined by tiles that know the whole."""

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

from bundle.inference.windows import window_starts
from bundle.utils.parse_bool import parse_bool

LEAST_DOUBT = 0.05
"""Doubt, from 0 to 1, up to which the result of the whole picture stands as it is."""


class ImageTilesInferer(Inferer):
    """Run a network of a fixed input size on pictures of any size; returns scores at the size of the pictures.

    The whole picture is resized to the network's size, and its scores back. With ``tile_size``, tiles of that many
    pixels are resized to the network's size as well, which shows finer borders. A tile within a lesion, or without one,
    lacks what tells the two apart; so the whole decides where it is sure, and tiles where it is in doubt: near its
    borders. Doubt is 1 minus the difference of the two largest probabilities, spread over its surroundings. Between the
    two, and between tiles, scores change over smoothly, without a seam. Tiles without doubt are not computed. What the
    whole is sure to be background is thus not searched for small regions; ``context=False`` takes tiles alone.

    Args:
        roi_size: ``(H, W)`` that the network takes; the aspect ratio is not kept, as in
            :class:`bundle.tasks.images.ResizeImaged`.
        tile_size: pixels ``(H, W)`` of the picture that a tile covers, or one number for both; None for no tiles. A
            picture that is not larger than a tile is taken as a whole.
        overlap: share of a tile that its neighbor covers too, at least, in [0, 1).
        batch_size: tiles that the network gets at once.
        context: let the whole decide where it is sure; text such as ``"false"`` is understood.
        reach: pixels of the whole picture at the network's size that doubt is spread by; in pixels of the file it
            should be less than half of what tiles overlap, so that a tile that decides also sees the border.

    Raises:
        ValueError: when a size is not positive, ``overlap`` is outside [0, 1), or ``reach`` is negative.
    """

    def __init__(
        self,
        roi_size: Sequence[int],
        *,
        tile_size: int | Sequence[int] | None = None,
        overlap: float = 0.25,
        batch_size: int = 4,
        context: bool | str = True,
        reach: int = 4,
    ) -> None:
        super().__init__()
        self.roi_size = _sides("roi_size", roi_size)
        self.tile_size = None if tile_size is None else _sides("tile_size", tile_size)
        if not 0 <= overlap < 1:
            raise ValueError(f"overlap must lie in [0, 1), got {overlap}.")
        if batch_size < 1 or reach < 0:
            raise ValueError(f"batch_size must be 1 or more and reach 0 or more, got {batch_size} and {reach}.")
        self.overlap, self.batch_size, self.reach = overlap, batch_size, reach
        self.context = parse_bool("context", context)

    def __call__(
        self, inputs: torch.Tensor, network: Callable[..., torch.Tensor], *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        """Return scores ``(B, K, H, W)``, float32, of pictures ``(B, C, H, W)``.

        Args:
            inputs: pictures.
            network: gives logits ``(N, K, h, w)`` for ``(N, C, *roi_size)``.
            args: passed on to the network.
            kwargs: passed on to the network.

        Raises:
            ValueError: when ``inputs`` has not four axes.
        """
        if inputs.ndim != 4:
            raise ValueError(f"pictures must have the shape (B, C, H, W), got {tuple(inputs.shape)}.")
        pictures = inputs.as_tensor() if isinstance(inputs, MetaTensor) else inputs

        def run(parts: torch.Tensor) -> torch.Tensor:
            return network(parts, *args, **kwargs).detach().float()

        scores = torch.cat([self._scores(picture[None], run) for picture in pictures])
        return convert_to_dst_type(scores, inputs, dtype=scores.dtype)[0]

    def _scores(self, picture: torch.Tensor, run: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
        """Return the scores of one picture ``(1, C, H, W)``."""
        size = picture.shape[2:]
        small = run(resized(picture, self.roi_size))
        whole = resized(small, size)
        if self.tile_size is None or all(side <= tile for side, tile in zip(size, self.tile_size, strict=True)):
            return whole
        share = resized(self._share(small), size)[0, 0].clamp_(0, 1) if self.context else whole.new_ones(size)
        places = [place for place in _places(size, self.tile_size, self.overlap) if bool((share[place] > 0).any())]
        total, weights = torch.zeros_like(whole[0]), torch.zeros_like(share)
        for start in range(0, len(places), self.batch_size):
            batch = places[start : start + self.batch_size]
            tiles = torch.cat([resized(picture[(..., *place)], self.roi_size) for place in batch])
            for place, scores in zip(batch, run(tiles), strict=True):
                tile = resized(scores[None], share[place].shape)[0]
                weight = compute_importance_map(tuple(tile.shape[1:]), mode="gaussian", device=tile.device)
                total[(..., *place)] += tile * weight
                weights[place] += weight
        tiled = total / weights.clamp_min(torch.finfo(weights.dtype).tiny)
        return torch.lerp(whole, tiled[None], share)

    def _share(self, scores: torch.Tensor) -> torch.Tensor:
        """Return the share ``(1, 1, h, w)`` that tiles have in the result, from 0 to 1, by the scores of the whole."""
        if scores.shape[1] == 1:
            certainty = torch.tanh(scores.abs() / 2)
        else:
            largest = scores.softmax(1).topk(2, dim=1).values
            certainty = largest[:, :1] - largest[:, 1:]
        doubt = functional.max_pool2d(1 - certainty, 2 * self.reach + 1, stride=1, padding=self.reach)
        return ((doubt - LEAST_DOUBT) / (1 - LEAST_DOUBT)).clamp_min(0)


def resized(maps: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """Return maps ``(N, C, H, W)`` at another size, smoothed where they get smaller."""
    if tuple(maps.shape[2:]) == tuple(size):
        return maps
    return functional.interpolate(maps.float(), size=tuple(size), mode="bilinear", antialias=True)


def _sides(name: str, size: int | Sequence[int]) -> tuple[int, int]:
    sides = (size, size) if isinstance(size, int) else tuple(size)
    if len(sides) != 2 or min(sides) < 1:
        raise ValueError(f"{name} must be two positive numbers, got {size}.")
    return sides[0], sides[1]


def _places(size: Sequence[int], tile: Sequence[int], overlap: float) -> Iterator[tuple[slice, slice]]:
    """Yield the tiles of a picture of ``size`` pixels."""
    sides = [min(pair) for pair in zip(size, tile, strict=True)]
    starts = [window_starts(length, side, overlap) for length, side in zip(size, sides, strict=True)]
    for top, left in itertools.product(*starts):
        yield slice(top, top + sides[0]), slice(left, left + sides[1])
