"""Sliding-window inference that runs along the slowest axis and finishes the volume slab by slab."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.data.utils import compute_importance_map
from monai.inferers import Inferer
from monai.utils import convert_to_dst_type
from torch.nn import functional
from tqdm import tqdm

OUTPUTS = ("auto", "scores", "labels")


class SlabInferer(Inferer):
    """Blend the scores of overlapping windows, holding them only for the slab that windows still write to.

    Windows are spread evenly and visited along the first spatial axis. As soon as no later window reaches a slice, its
    scores are final. With ``output="labels"`` they are reduced to the arg-max at once, and the scores of the whole
    volume never exist: the peak is classes x window depth x plane. Weights and blending are those of MONAI's
    ``sliding_window_inference``. A volume smaller than the window is padded with zeros on both sides.

    Args:
        roi_size: window, in voxels.
        overlap: share of a window that its neighbor covers too, at least, in [0, 1).
        sw_batch_size: windows a forward pass.
        mode: ``"gaussian"`` or ``"constant"`` blending.
        sigma_scale: sigma of the gaussian in windows.
        output: ``"scores"`` returns blended logits ``(B, K, D, H, W)``; ``"labels"`` the arg-max ``(B, 1, D, H, W)``.
            ``"auto"`` returns labels where that is the same: where the image was not resampled, so that the way back to
            the input's grid is flips and permutations; else scores, which :class:`bundle.transforms.Resampled`
            interpolates before it takes their arg-max. These are kept in float16, blended in float32.
        mirror_axes: spatial axes to mirror at test time: the scores of a window are the mean over all mirrorings, which
            costs a forward pass each, ``2 ** len(mirror_axes)`` in all.
        progress: show a progress bar on a terminal.

    Raises:
        ValueError: when ``overlap``, ``output`` or ``mirror_axes`` is out of range.
    """

    def __init__(
        self,
        roi_size: Sequence[int],
        *,
        overlap: float = 0.25,
        sw_batch_size: int = 1,
        mode: str = "gaussian",
        sigma_scale: float = 0.125,
        output: str = "auto",
        mirror_axes: Sequence[int] = (),
        progress: bool = False,
    ) -> None:
        super().__init__()
        if not 0 <= overlap < 1:
            raise ValueError(f"overlap must lie in [0, 1), got {overlap}.")
        if output not in OUTPUTS:
            raise ValueError(f"output must be one of {', '.join(OUTPUTS)}, got {output!r}.")
        if not set(mirror_axes) <= set(range(len(roi_size))):
            raise ValueError(f"mirror_axes must be spatial axes, 0 to {len(roi_size) - 1}, got {list(mirror_axes)}.")
        self.mirrorings = [[], *_subsets([axis + 2 for axis in sorted(set(mirror_axes))])]
        self.roi_size, self.overlap, self.sw_batch_size = list(roi_size), overlap, sw_batch_size
        self.mode, self.sigma_scale = mode, sigma_scale
        self.output, self.progress = output, progress

    def __call__(
        self, inputs: torch.Tensor, network: Callable[..., torch.Tensor], *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        """Return scores or labels of ``inputs`` ``(B, C, D, H, W)``, with the metadata of ``inputs``.

        Raises:
            ValueError: when ``inputs`` has not one spatial axis a number of ``roi_size``.
        """
        if inputs.ndim - 2 != len(self.roi_size):
            raise ValueError(f"roi_size {self.roi_size} does not fit an input of the shape {tuple(inputs.shape)}.")
        as_labels = self.output == "labels" or (self.output == "auto" and not was_resampled(inputs))
        image = inputs.as_tensor() if isinstance(inputs, MetaTensor) else inputs
        padding = [max(roi - size, 0) for roi, size in zip(self.roi_size, image.shape[2:], strict=True)]
        before = [pad // 2 for pad in padding]
        if any(padding):
            sides = [side for pad, low in zip(padding, before, strict=True) for side in (pad - low, low)]
            image = functional.pad(image, sides[::-1])
        result = self._run(image, lambda windows: self._scores(windows, network, *args, **kwargs), as_labels)
        for axis, (low, size) in enumerate(zip(before, inputs.shape[2:], strict=True), start=2):
            result = result.narrow(axis, low, size)
        return convert_to_dst_type(result.contiguous(), inputs, dtype=result.dtype)[0]

    def _scores(
        self, windows: torch.Tensor, network: Callable[..., torch.Tensor], *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        scores = network(windows, *args, **kwargs)
        if len(self.mirrorings) == 1:
            return scores
        total = scores.float()
        for axes in self.mirrorings[1:]:
            total = total + network(windows.flip(axes), *args, **kwargs).flip(axes)
        return total / len(self.mirrorings)

    def _run(
        self, image: torch.Tensor, network: Callable[[torch.Tensor], torch.Tensor], as_labels: bool
    ) -> torch.Tensor:
        starts = [
            window_starts(size, roi, self.overlap) for size, roi in zip(image.shape[2:], self.roi_size, strict=True)
        ]
        in_plane = list(itertools.product(*starts[1:]))
        weight = compute_importance_map(
            tuple(self.roi_size), mode=self.mode, sigma_scale=self.sigma_scale, device=image.device, dtype=torch.float32
        )
        dtype = torch.float16 if self.output == "auto" else torch.float32
        slab = _Slab(image, self.roi_size[0], weight, as_labels, dtype)
        bar = tqdm(total=len(starts[0]) * len(in_plane), unit="window", disable=None if self.progress else True)
        for start, end in zip(starts[0], [*starts[0][1:], image.shape[2]], strict=True):
            for first in range(0, len(in_plane), self.sw_batch_size):
                corners = [(start, *place) for place in in_plane[first : first + self.sw_batch_size]]
                windows = torch.cat([_window(image, corner, self.roi_size) for corner in corners])
                for corner, scores in zip(corners, network(windows).split(image.shape[0]), strict=True):
                    slab.add(corner[1:], scores)
                bar.update(len(corners))
            slab.finish(start, end)
        bar.close()
        return slab.result


class _Slab:
    """Blended scores of the slices that windows still write to, and the result of those that are final."""

    def __init__(
        self, image: torch.Tensor, depth: int, weight: torch.Tensor, as_labels: bool, dtype: torch.dtype
    ) -> None:
        self.image, self.depth, self.weight, self.as_labels, self.dtype = image, depth, weight, as_labels, dtype
        self.scores = self.total = self.result = torch.empty(0)

    def add(self, corner: Sequence[int], scores: torch.Tensor) -> None:
        if not self.scores.numel():
            self._allocate(scores)
        place: Any = (..., slice(None), *_slices(corner, scores.shape[3:]))
        self.scores[place] += scores.float() * self.weight
        self.total[place] += self.weight

    def finish(self, start: int, end: int) -> None:
        count = end - start
        scores = self.scores[:, :, :count]
        if self.as_labels:
            self.result[:, :, start:end] = scores.argmax(1, keepdim=True).to(self.result.dtype)
        else:
            self.result[:, :, start:end] = scores / self.total[:count]
        for buffer, axis in ((self.scores, 2), (self.total, 0)):
            kept = buffer.narrow(axis, count, self.depth - count).clone()
            buffer.narrow(axis, 0, self.depth - count).copy_(kept)
            buffer.narrow(axis, self.depth - count, count).zero_()

    def _allocate(self, scores: torch.Tensor) -> None:
        batch, classes = scores.shape[:2]
        size = self.image.shape[2:]
        device = self.image.device
        self.scores = torch.zeros((batch, classes, self.depth, *size[1:]), device=device)
        self.total = torch.zeros((self.depth, *size[1:]), device=device)
        if self.as_labels:
            dtype = torch.uint8 if classes <= 256 else torch.int16
            self.result = torch.empty((batch, 1, *size), dtype=dtype, device=device)
        else:
            self.result = torch.empty((batch, classes, *size), dtype=self.dtype, device=device)


def window_starts(size: int, roi: int, overlap: float) -> list[int]:
    """Return the first voxels of evenly spread windows of ``roi`` voxels that overlap by ``overlap`` or more."""
    if size <= roi:
        return [0]
    step = max(int(roi * (1 - overlap) + 1e-9), 1)
    count = math.ceil((size - roi) / step) + 1
    return [round(index * (size - roi) / (count - 1)) for index in range(count)]


def was_resampled(image: torch.Tensor) -> bool:
    """Tell whether a MetaTensor has other voxels than its file, beyond flips and permutations of the axes."""
    if not isinstance(image, MetaTensor) or "original_affine" not in image.meta:
        return False
    affines = (image.meta["original_affine"], image.affine)
    before, after = (np.asarray(affine, dtype=float).reshape(-1, 4, 4)[0, :3, :3] for affine in affines)
    steps = np.sort(np.abs(np.linalg.solve(before, after)), axis=0)
    return not np.allclose(steps, [[0], [0], [1]], atol=1e-6)


def _subsets(axes: Sequence[int]) -> list[list[int]]:
    return [list(some) for count in range(1, len(axes) + 1) for some in itertools.combinations(axes, count)]


def _window(image: torch.Tensor, corner: Sequence[int], size: Sequence[int]) -> torch.Tensor:
    place: Any = (..., *_slices(corner, size))
    return image[place]


def _slices(corner: Sequence[int], size: Sequence[int]) -> list[slice]:
    return [slice(low, low + length) for low, length in zip(corner, size, strict=True)]
