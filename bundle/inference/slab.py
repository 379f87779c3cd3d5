"""Sliding-window inference that finishes the volume slab by slab."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, Protocol, get_args

import numpy as np
import torch
from monai.data import MetaTensor
from monai.data.utils import compute_importance_map
from monai.inferers import Inferer
from monai.utils import convert_to_dst_type, fall_back_tuple
from torch.nn import functional
from tqdm import tqdm

from bundle.utils.check_choice import check_choice

from .window_ensemble import Ensemble, Network
from .windows import Spread, corners, is_constant, slab_axis, slices, subsets, window_starts

logger = logging.getLogger(__name__)

Blending = Literal["gaussian", "constant"]
Output = Literal["auto", "scores", "labels"]

BACKGROUND_SCORE = 20.0
"""Score of the background, with 0 for all other classes, where all windows were skipped."""


class Writer(Protocol):
    """What takes the finished slabs of one case, in order."""

    def add(self, scores: torch.Tensor) -> None:
        """Take blended scores ``(K, D, H, W)``: some planes along the axis of the slabs, and complete ones.

        They are overwritten after the call.
        """

    def finish(self) -> torch.Tensor:
        """Return the result of the case."""


class Assembler(Protocol):
    """What makes the result of a case from its slabs, as :class:`bundle.grid.LabelMapAssembler` does."""

    def start(self, image: torch.Tensor, *, classes: int, axis: int) -> Writer:
        """Return what takes the slabs of ``image`` ``(1, C, D, H, W)`` along the spatial axis ``axis``."""


class SlabInferer(Inferer):
    """Blend the scores of overlapping windows, holding them only for the slab that windows still write to.

    Windows are visited along one spatial axis. As soon as no later window reaches a slice, its scores are final and are
    reduced to labels, on the grid of the image or, by an ``assembler``, on that of its file. The scores of the complete
    volume never exist: the peak is classes x window depth x plane, whatever the number of slices. A volume smaller than
    the window is padded with zeros on both sides.

    Weights and arithmetic are those of MONAI's ``sliding_window_inference``. With ``spread="scan"``, a network in
    float32 and ``output="scores"`` (or ``slab_axis=0``) the result is bit-equal. It differs by rounding where windows
    run along another axis, as their scores are then added in another order, and for networks in half precision, whose
    scores are blended in float32 here.

    Args:
        roi_size: window, in voxels; -1 for all of an axis.
        overlap: share of a window that its neighbor covers too, at least, in [0, 1).
        sw_batch_size: windows per forward pass.
        mode: ``"gaussian"`` or ``"constant"`` blending.
        sigma_scale: sigma of the gaussian in windows.
        output: ``"scores"`` returns blended logits ``(B, K, D, H, W)``; ``"labels"`` the arg-max ``(B, 1, D, H, W)``.
            ``"auto"`` returns labels where that is the same: where the image was not resampled, so that restoring the
            original grid is flips and permutations; else scores, which :class:`bundle.grid.ResampleSpacingd`
            interpolates before it takes their arg-max. These are kept in float16, blended in float32.
        mirror_axes: spatial axes to mirror at test time: the scores of a window are the mean over all mirrorings, which
            costs a forward pass each, ``2 ** len(mirror_axes)`` in all.
        networks: further networks; the scores of a window are the mean over them and the network of the call.
        assembler: makes the result from finished slabs, as :class:`bundle.grid.LabelMapAssembler` does; None for the
            grid of the image. It takes one case a batch.
        spread: ``"even"`` steps between windows, or those of MONAI's ``"scan"``, see :func:`window_starts`.
        slab_axis: spatial axis along which windows run; None for the one that takes the least memory, or the first
            where the scores of the complete volume are returned.
        skip_constant: skip windows in which every channel of the image has one value. They add nothing to the blending;
            voxels that no other window sees get the scores of a sure background: 20 for class 0, and 0 for the others.
            How many were skipped is logged. The first window always runs.
        progress: show a progress bar on a terminal.

    Attributes:
        on_window: called with the number of windows that are done and that of all, after every batch of windows; None
            for nothing.
        windows, windows_skipped: with ``skip_constant``, the windows of the last image, and how many were skipped.

    Raises:
        ValueError: when an option is out of range.

    Examples:
        >>> image, network = torch.zeros(1, 1, 40, 20, 10), torch.nn.Conv3d(1, 3, 1)
        >>> with torch.no_grad():
        ...     scores = SlabInferer([16, 16, 16], output="scores")(image, network)
        ...     labels = SlabInferer([16, 16, -1], output="labels", mirror_axes=[0])(image, network)
        >>> scores.shape, labels.shape, labels.dtype
        (torch.Size([1, 3, 40, 20, 10]), torch.Size([1, 1, 40, 20, 10]), torch.uint8)
    """

    def __init__(
        self,
        roi_size: Sequence[int],
        *,
        overlap: float = 0.25,
        sw_batch_size: int = 1,
        mode: Blending = "gaussian",
        sigma_scale: float = 0.125,
        output: Output = "auto",
        mirror_axes: Sequence[int] = (),
        networks: Sequence[Network] = (),
        assembler: Assembler | None = None,
        spread: Spread = "even",
        slab_axis: int | None = None,
        skip_constant: bool = False,
        progress: bool = False,
    ) -> None:
        super().__init__()
        axes = range(len(roi_size))
        if not 0 <= overlap < 1:
            raise ValueError(f"overlap must lie in [0, 1), got {overlap}.")
        check_choice("mode", mode, get_args(Blending))
        check_choice("output", output, get_args(Output))
        check_choice("spread", spread, get_args(Spread))
        if not set(mirror_axes) <= set(axes):
            raise ValueError(f"mirror_axes must be spatial axes, 0 to {axes[-1]}, got {list(mirror_axes)}.")
        if slab_axis is not None and slab_axis not in axes:
            raise ValueError(f"slab_axis must be a spatial axis, 0 to {axes[-1]}, or None, got {slab_axis}.")
        if assembler is not None and output == "scores":
            raise ValueError("output must not be 'scores' with an assembler, which makes labels of them.")
        self.roi_size, self.overlap, self.sw_batch_size = list(roi_size), overlap, sw_batch_size
        self.mode, self.sigma_scale, self.output, self.progress = mode, sigma_scale, output, progress
        self.mirrorings = subsets([axis + 2 for axis in sorted(set(mirror_axes))])
        self.networks = [_as_evaluated(network) for network in networks]
        self.assembler, self.spread, self.slab_axis, self.skip_constant = assembler, spread, slab_axis, skip_constant
        self.on_window: Callable[[int, int], None] | None = None
        self.windows = self.windows_skipped = 0

    def __call__(
        self, inputs: torch.Tensor, network: Network | Sequence[Network], *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        """Return scores or labels of ``inputs`` ``(B, C, D, H, W)``, with the metadata of ``inputs``.

        Args:
            inputs: images.
            network: network, or several of them, whose mean counts.
            args: passed on to the networks.
            kwargs: passed on to the networks.

        Raises:
            ValueError: when the axes of ``inputs`` are not those of ``roi_size``, an assembler gets several cases, or a
                network does not return scores for every voxel.
        """
        if inputs.ndim - 2 != len(self.roi_size):
            raise ValueError(f"roi_size {self.roi_size} does not fit an input of the shape {tuple(inputs.shape)}.")
        if self.assembler is not None and len(inputs) > 1:
            raise ValueError(f"inputs must be one case for an assembler, got a batch of {len(inputs)}.")
        several = isinstance(network, Sequence | torch.nn.ModuleList)
        members: Sequence[Any] = list(network) if several else [network]  # type: ignore[arg-type]
        ensemble = Ensemble([*members, *self.networks], self.mirrorings)
        job = _Job(self, inputs)
        for windows in job.batches():
            job.add(ensemble(windows, *args, **kwargs))
        return job.result()

    def returns_labels(self, inputs: torch.Tensor) -> bool:
        """Return whether the result for ``inputs`` is labels."""
        return self.output == "labels" or (self.output == "auto" and not was_resampled(inputs))


class _Job:
    """One call of a :class:`SlabInferer`: yields batches of windows and takes their scores."""

    def __init__(self, settings: SlabInferer, inputs: torch.Tensor) -> None:
        self.settings, self.inputs = settings, inputs
        roi = self.roi = list(fall_back_tuple(settings.roi_size, inputs.shape[2:]))
        image = inputs.as_tensor() if isinstance(inputs, MetaTensor) else inputs
        padding = [max(length - size, 0) for length, size in zip(roi, image.shape[2:], strict=True)]
        before = [pad // 2 for pad in padding]
        self.inner = slices(before, image.shape[2:])
        if any(padding):
            sides = [side for pad, low in zip(padding, before, strict=True) for side in (pad - low, low)]
            image = functional.pad(image, sides[::-1])
        self.image, size = image, image.shape[2:]
        self.axis = settings.slab_axis if settings.slab_axis is not None else self._best_axis(size)
        self.starts = [
            window_starts(count, length, settings.overlap, spread=settings.spread)
            for count, length in zip(size, roi, strict=True)
        ]
        self.weight = compute_importance_map(
            tuple(roi), mode=settings.mode, sigma_scale=settings.sigma_scale, device=image.device, dtype=torch.float32
        )
        self.pending: list[tuple[int, tuple[int, ...]]] = []
        self.slab: Any = None
        self.windows = self.skipped = 0

    def _best_axis(self, size: Sequence[int]) -> int:
        whole = self.settings.assembler is None and not self.settings.returns_labels(self.inputs)
        return 0 if whole else slab_axis(size, self.roi)

    def batches(self) -> Iterable[torch.Tensor]:
        """Yield windows ``(N, C, ...)``, in one buffer; their scores are due before the next ones."""
        settings, image = self.settings, self.image
        places = [(sample, corner) for sample in range(len(image)) for corner in corners(self.starts, self.axis)]
        self.windows = len(places)
        buffer = image.new_empty((min(settings.sw_batch_size, len(places)), image.shape[1], *self.roi))
        with tqdm(total=len(places), unit="window", disable=None if settings.progress else True) as bar:
            for number, (sample, corner) in enumerate(places, start=1):
                window = image[sample][(slice(None), *slices(corner, self.roi))]
                if settings.skip_constant and number > 1 and is_constant(window):
                    self.skipped += 1
                else:
                    buffer[len(self.pending)] = window
                    self.pending.append((sample, corner))
                if self.pending and (len(self.pending) == len(buffer) or number == len(places)):
                    yield buffer[: len(self.pending)]
                    self.pending = []
                    bar.update(number - bar.n)
                    if settings.on_window is not None:
                        settings.on_window(number, len(places))

    def add(self, scores: torch.Tensor) -> None:
        """Take the scores ``(N, K, ...)`` of the windows yielded last."""
        if self.slab is None:
            self.slab = _Slab(self, scores.shape[1])
        for (sample, corner), part in zip(self.pending, scores, strict=True):
            self.slab.add(sample, corner, part)

    def result(self) -> torch.Tensor:
        """Finish the last slabs and return the result."""
        result = self.slab.close()
        if self.settings.assembler is None:
            result = convert_to_dst_type(result, self.inputs, dtype=result.dtype)[0]
        if self.settings.skip_constant:
            self.settings.windows, self.settings.windows_skipped = self.windows, self.skipped
            logger.info("skipped %d of %d windows, which are constant", self.skipped, self.windows)
        return result


class _Slab:
    """Blended scores of the slices that windows still write to; passes on those that are final."""

    def __init__(self, job: _Job, classes: int) -> None:
        self.job, self.axis = job, job.axis
        size = list(job.image.shape[2:])
        self.rows = [*job.starts[self.axis], size[self.axis]]
        size[self.axis] = self.depth = job.roi[self.axis]
        self.scores = torch.zeros((classes, *size), device=job.image.device)
        self.total = torch.zeros(size, device=job.image.device)
        self.product = torch.empty_like(job.weight)
        self.sample = self.row = 0
        self.sink = _sink(job, classes)

    def add(self, sample: int, corner: Sequence[int], scores: torch.Tensor) -> None:
        """Add the weighted scores of a window; windows come sample by sample and row by row."""
        while (self.sample, self.rows[self.row]) != (sample, corner[self.axis]):
            self._finish_row()
        place = [slice(low, low + size) for low, size in zip(corner, scores.shape[1:], strict=True)]
        place[self.axis] = slice(None)
        for total, part in zip(self.scores, scores, strict=True):
            total[tuple(place)] += torch.mul(part, self.job.weight, out=self.product)
        self.total[tuple(place)] += self.job.weight

    def close(self) -> torch.Tensor:
        """Pass on what is left and return the result."""
        while self.sample < len(self.job.image):
            self._finish_row()
        return self.sink.finish()

    def _finish_row(self) -> None:
        start, end = self.rows[self.row : self.row + 2]
        inner = self.job.inner[self.axis]
        scores, total = (self._planes(buffer, 0, end - start) for buffer in (self.scores, self.total))
        if self.job.skipped:
            scores[0].masked_fill_(total == 0, BACKGROUND_SCORE)
            total.masked_fill_(total == 0, 1)
        scores.div_(total)
        place = list(self.job.inner)
        place[self.axis] = slice(max(start, inner.start) - start, min(end, inner.stop) - start)
        self.sink.add(scores[(slice(None), *place)])
        self.row += 1
        if end == self.rows[-1]:
            self.row, self.sample = 0, self.sample + 1
            if self.sample < len(self.job.image):
                self.scores.zero_()
                self.total.zero_()
        else:
            self._shift(end - start)

    def _shift(self, count: int) -> None:
        """Move the planes after the first ``count`` ones to the front and clear what they leave."""
        for buffer in (self.scores, self.total):
            for start in range(0, self.depth - count, count):
                size = min(count, self.depth - count - start)
                self._planes(buffer, start, size).copy_(self._planes(buffer, start + count, size))
            self._planes(buffer, self.depth - count, count).zero_()

    def _planes(self, buffer: torch.Tensor, start: int, count: int) -> torch.Tensor:
        return buffer.narrow(self.axis - self.total.ndim, start, count)


class _Whole:
    """Scores or labels on the grid of the image, sample by sample."""

    def __init__(self, shape: Sequence[int], axis: int, dtype: torch.dtype, device: torch.device) -> None:
        self.values = torch.empty(tuple(shape), dtype=dtype, device=device)
        self.axis, self.done = axis + 1, 0

    def add(self, scores: torch.Tensor) -> None:
        count, size = scores.shape[self.axis], self.values.shape[self.axis + 1]
        sample, start = divmod(self.done, size)
        values = scores if self.values.is_floating_point() else scores.argmax(0, keepdim=True)
        self.values[sample].narrow(self.axis, start, count).copy_(values)
        self.done += count

    def finish(self) -> torch.Tensor:
        return self.values


def _sink(job: _Job, classes: int) -> Writer:
    settings, inputs = job.settings, job.inputs
    if settings.assembler is not None:
        return settings.assembler.start(inputs, classes=classes, axis=job.axis)
    if settings.returns_labels(inputs):
        dtype = next(kind for kind in (torch.uint8, torch.int16, torch.int32) if classes - 1 <= torch.iinfo(kind).max)
        return _Whole((len(inputs), 1, *inputs.shape[2:]), job.axis, dtype, inputs.device)
    dtype = torch.float16 if settings.output == "auto" else torch.float32
    return _Whole((len(inputs), classes, *inputs.shape[2:]), job.axis, dtype, inputs.device)


def was_resampled(image: torch.Tensor) -> bool:
    """Return whether a MetaTensor has other voxels than its file, beyond flips and permutations of the axes."""
    if not isinstance(image, MetaTensor) or "original_affine" not in image.meta:
        return False
    affines = (image.meta["original_affine"], image.affine)
    before, after = (np.asarray(affine, dtype=float).reshape(-1, 4, 4)[0, :3, :3] for affine in affines)
    steps = np.sort(np.abs(np.linalg.solve(before, after)), axis=0)
    return not np.allclose(steps, [[0], [0], [1]], atol=1e-6)


def _as_evaluated(network: Network) -> Network:
    return network.eval() if isinstance(network, torch.nn.Module) else network
