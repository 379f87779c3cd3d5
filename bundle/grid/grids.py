"""Where the voxels of one grid lie on another, for writing a result slab by slab.

A slab is a run of planes of the source grid along one of its axes. Both classes give the output voxels that a slab
decides, and between which source voxels each of them lies. Output voxels a whole source voxel or more beyond the border
belong to no slab; those nearer take the border's value.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import torch

from .axis_places import SNAP, axis_places

Corners = list[tuple[torch.Tensor, torch.Tensor]]
"""For every source axis, of a list of output voxels, the source voxel below and the share of the one above."""


class Piece(Protocol):
    """Output voxels that one slab decides."""

    def spread(self, cells: torch.Tensor) -> torch.Tensor:
        """Return the value of its cell for every output voxel, as a list."""

    def corners(self, voxels: torch.Tensor) -> Corners:
        """Return what surrounds the output voxels of these numbers of the list."""

    def write(self, channel: int, values: torch.Tensor) -> None:
        """Write a value for every output voxel to a channel of the output."""


class Grid(Protocol):
    """Output voxels on a source grid whose axes are taken in ``order``, that of the slabs first.

    Attributes:
        target: output ``(channels, ...)``.
        order: source axes, that of the slabs first.
        shape: source voxels, in ``order``.
        blends: for every source axis, in ``order``, whether output voxels lie between its voxels.
    """

    target: torch.Tensor
    order: list[int]
    shape: list[int]
    blends: list[bool]

    def pieces(self, first: int, stop: int) -> Iterator[Piece]:
        """Yield the output voxels in the cells ``first`` to ``stop`` along the axis of the slabs."""


class AlignedGrid:
    """Grid whose axes run along those of the source: flips, permutations, voxel sizes, crops and pads.

    Args:
        positions: for every source axis where the output voxels lie on it, in source voxels, rising or falling.
        shape: source voxels of every axis.
        target: output ``(channels, ...)``, its axes in the order of the source's.
        axis: source axis along which slabs come.
    """

    def __init__(
        self, positions: Sequence[torch.Tensor], shape: Sequence[int], target: torch.Tensor, *, axis: int
    ) -> None:
        others = [other for other in range(len(shape)) if other != axis]
        self.order = [axis, *sorted(others, key=lambda other: -target.stride(other + 1))]
        self.target = target
        self.shape = [shape[other] for other in self.order]
        self.axes = [_Axis(positions[other], shape[other], target.device) for other in self.order]
        self.blends = [place.blends for place in self.axes]
        box = target.permute(0, *(other + 1 for other in self.order))
        for number, place in enumerate(self.axes):
            box = box.narrow(number + 1, place.first, len(place.low))
        self.box = box

    def pieces(self, first: int, stop: int) -> Iterator[Piece]:
        """Yield the output voxels in the cells ``first`` to ``stop`` along the axis of the slabs."""
        chosen = ((self.axes[0].low >= first) & (self.axes[0].low < stop)).nonzero()[:, 0]
        if len(chosen) and self.box.numel():
            begin, count = int(chosen[0]), len(chosen)
            axes = [self.axes[0].part(begin, count, first), *self.axes[1:]]
            yield _AlignedPiece(axes, self.box.narrow(1, begin, count))


class _Axis:
    """Where output voxels lie along one source axis: behind ``low``, at ``share`` of the way to the next voxel."""

    def __init__(self, positions: torch.Tensor, count: int, device: torch.device) -> None:
        places = axis_places(positions.cpu().numpy(), count)
        self.first, self.blends = places.first, places.blends
        self.low, self.share = (torch.as_tensor(values, device=device) for values in (places.low, places.share))

    def part(self, begin: int, count: int, origin: int) -> _Axis:
        """Return ``count`` of the output voxels, with source voxels counted from ``origin``."""
        part = object.__new__(_Axis)
        part.first, part.blends = begin, self.blends
        chosen = slice(begin, begin + count)
        part.low, part.share = self.low[chosen] - origin, self.share[chosen]
        return part


class _AlignedPiece:
    def __init__(self, axes: Sequence[_Axis], box: torch.Tensor) -> None:
        self.axes, self.box = axes, box

    def spread(self, cells: torch.Tensor) -> torch.Tensor:
        for axis in reversed(range(len(self.axes))):
            cells = cells.index_select(axis, self.axes[axis].low)
        return cells.flatten()

    def corners(self, voxels: torch.Tensor) -> Corners:
        found: Corners = []
        for axis in reversed(self.axes):
            index = voxels % len(axis.low)
            voxels = voxels.div(len(axis.low), rounding_mode="floor")
            found.append((axis.low.index_select(0, index), axis.share.index_select(0, index)))
        return found[::-1]

    def write(self, channel: int, values: torch.Tensor) -> None:
        self.box[channel].copy_(values.view(self.box.shape[1:]))


class ObliqueGrid:
    """Grid that lies at any angle to the source.

    Args:
        matrix: affine ``(dims, dims + 1)`` from output voxels to source voxels.
        shape: source voxels of every axis.
        target: output ``(channels, ...)``.
        axis: source axis along which slabs come.
    """

    def __init__(self, matrix: np.ndarray, shape: Sequence[int], target: torch.Tensor, *, axis: int) -> None:
        self.order = [axis, *(other for other in range(len(shape)) if other != axis)]
        self.target = target
        self.shape = [shape[other] for other in self.order]
        self.blends = [count > 1 for count in self.shape]
        self.outer = max(range(len(shape)), key=lambda other: target.stride(other + 1))
        self.inner = [other for other in range(len(shape)) if other != self.outer]
        self.matrix = matrix[self.order]

    def pieces(self, first: int, stop: int) -> Iterator[Piece]:
        """Yield the output voxels in the cells ``first`` to ``stop`` along the axis of the slabs, plane by plane."""
        cells = self.shape[0] - 1 if self.blends[0] else self.shape[0]
        low = -1 + SNAP if first == 0 else float(first)
        high = self.shape[0] - SNAP if stop == cells else float(stop)
        size = self.target.shape[1:]
        reach = [self.matrix[0, other] * (size[other] - 1) for other in self.inner]
        for index in range(size[self.outer]):
            start = self.matrix[0, self.outer] * index + self.matrix[0, -1]
            if (
                start + sum(max(step, 0) for step in reach) >= low
                and start + sum(min(step, 0) for step in reach) < high
            ):
                piece = self._plane(index, first, low, high)
                if piece is not None:
                    yield piece

    def _plane(self, index: int, first: int, low: float, high: float) -> Piece | None:
        plane = self.target.select(self.outer + 1, index)
        steps = [
            torch.arange(self.target.shape[other + 1], dtype=torch.float64, device=self.target.device)
            for other in self.inner
        ]
        offset = self.matrix[:, self.outer] * index + self.matrix[:, -1]
        along = _outer_sum([step * self.matrix[0, other] for step, other in zip(steps, self.inner, strict=True)])
        along += offset[0]
        place = ((along >= low) & (along < high)).nonzero(as_tuple=True)
        positions = [along[place]]
        for row in range(1, len(self.shape)):
            parts = [step[i] * self.matrix[row, o] for step, i, o in zip(steps, place, self.inner, strict=True)]
            positions.append(sum(parts[1:], parts[0]) + offset[row])
        kept = torch.ones_like(positions[0], dtype=torch.bool)
        for position, count in zip(positions[1:], self.shape[1:], strict=True):
            kept &= (position > -1 + SNAP) & (position < count - SNAP)
        if not kept.any():
            return None
        axes = [_between(position[kept], count) for position, count in zip(positions, self.shape, strict=True)]
        axes[0] = (axes[0][0] - first, axes[0][1])
        return _ObliquePiece(axes, plane, tuple(index[kept] for index in place))


class _ObliquePiece:
    def __init__(self, axes: Corners, plane: torch.Tensor, place: tuple[torch.Tensor, ...]) -> None:
        self.axes, self.plane, self.place = axes, plane, place

    def spread(self, cells: torch.Tensor) -> torch.Tensor:
        return cells[tuple(low for low, _ in self.axes)]

    def corners(self, voxels: torch.Tensor) -> Corners:
        return [(low[voxels], share[voxels]) for low, share in self.axes]

    def write(self, channel: int, values: torch.Tensor) -> None:
        self.plane[channel][self.place] = values.to(self.plane.dtype)


def _outer_sum(parts: Sequence[torch.Tensor]) -> torch.Tensor:
    total = parts[0]
    for part in parts[1:]:
        total = total[..., None] + part
    return total


def _between(positions: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    clamped = positions.clamp(0, count - 1)
    low = clamped.floor().long().clamp(max=max(count - 2, 0))
    return low, (clamped - low).float()
