"""Arg-max of interpolated class scores without interpolating most of them.

Between the voxels of a grid linear interpolation is a convex combination of the corners of a cell. Where one class has
the largest score at every corner it has the largest score everywhere in the cell, so only cells whose corners disagree
are interpolated. The result is the arg-max of all interpolated scores, but for ties within rounding.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch.nn import functional

from .grids import AlignedGrid, Corners, Grid, Piece

LAYER = 2**19
"""Source voxels that are worked on at once."""

CHUNK = 2**16
"""Output voxels whose scores are interpolated at once."""

ConfidenceMap = Literal["probability", "margin", "entropy"]
MAPS: tuple[ConfidenceMap, ...] = get_args(ConfidenceMap)


class SlabLabels:
    """Write the labels of finished slabs of class scores to another grid.

    Slabs come in order along one axis. Of what was there before, one plane of scores is kept.

    Args:
        grid: output voxels on the grid of the scores; channel 0 of its target gets labels, the next ones the maps.
        maps: which of ``"probability"``, ``"margin"`` and ``"entropy"`` to write, see
            :class:`bundle.grid.LabelMapAssembler`.
    """

    def __init__(self, grid: Grid, maps: Sequence[str] = ()) -> None:
        self.grid, self.maps, self.done = grid, maps, 0
        self.edge = self.edge_labels = torch.empty(0)

    def add(self, scores: torch.Tensor) -> None:
        """Take the next slab ``(K, D, H, W)``: some planes along the axis of the slabs, and complete ones.

        Raises:
            ValueError: when scores are not finite.
        """
        labels = winners(scores).permute(self.grid.order).contiguous()
        scores = scores.permute(0, *(axis + 1 for axis in self.grid.order))
        step = max(LAYER // math.prod(self.grid.shape[1:]), 1)
        for start in range(0, len(labels), step):
            self._layer(scores[:, start : start + step], labels[start : start + step])

    def _layer(self, scores: torch.Tensor, labels: torch.Tensor) -> None:
        blends = self.grid.blends[0]
        first = self.done
        self.done += len(labels)
        parts, last = [scores], labels[-1:]
        if blends and first:
            parts, labels, first = [self.edge, scores], torch.cat([self.edge_labels, labels]), first - 1
        if len(labels) > blends:
            cells, mixed = _cells(labels, self.grid.blends)
            needed = torch.ones_like(labels, dtype=torch.bool) if self.maps else _corners_of(mixed, labels.shape)
            table = _Table(parts, needed)
            for piece in self.grid.pieces(first, first + len(labels) - blends):
                self._write(piece, cells, mixed, table)
        if blends:
            self.edge, self.edge_labels = scores[:, -1:].clone(), last.clone()

    def _write(self, piece: Piece, cells: torch.Tensor, mixed: torch.Tensor, table: _Table) -> None:
        sentinel = 255 if cells.dtype == torch.uint8 else -1
        labels = piece.spread(cells.masked_fill(mixed, sentinel))
        undecided = labels == sentinel
        everywhere = [torch.empty(labels.shape, dtype=torch.uint8, device=labels.device) for _ in self.maps]
        voxels = torch.arange(len(labels), device=labels.device) if self.maps else undecided.nonzero()[:, 0]
        for chosen in voxels.split(CHUNK):
            scores = table.interpolate(piece.corners(chosen), self.grid.blends)
            found = scores.argmax(1).to(labels.dtype)
            labels[chosen] = torch.where(undecided[chosen], found, labels[chosen]) if self.maps else found
            for values, part in zip(everywhere, confidence(scores, self.maps), strict=True):
                values[chosen] = part
        for channel, values in enumerate([labels, *everywhere]):
            piece.write(channel, values)


class _Table:
    """Scores of the voxels that are needed, one row ``(K)`` a voxel."""

    def __init__(self, parts: Sequence[torch.Tensor], needed: torch.Tensor) -> None:
        self.strides = needed.stride()
        self.row = needed.flatten().cumsum(0, dtype=torch.int32) - 1
        planes = needed.split([part.shape[1] for part in parts])
        self.rows = torch.empty((int(self.row[-1]) + 1, len(parts[0])), device=needed.device)
        start = 0
        for part, mask in zip(parts, planes, strict=True):
            found = _gather(part, mask)
            self.rows[start : start + found.shape[1]].copy_(found.t())
            start += found.shape[1]

    def interpolate(self, corners: Corners, blends: Sequence[bool]) -> torch.Tensor:
        """Return the scores ``(M, K)`` between the corners of M output voxels."""
        first = torch.zeros_like(corners[0][0])
        steps, weights = first.new_zeros(1), torch.ones_like(corners[0][1])[:, None]
        for (low, share), stride, blend in zip(corners, self.strides, blends, strict=True):
            first += low * stride
            if blend:
                steps = torch.cat([steps, steps + stride])
                weights = torch.cat([weights * (1 - share)[:, None], weights * share[:, None]], 1)
        voxels = first[:, None] + steps
        rows = self.row.index_select(0, voxels.flatten()).view(voxels.shape)
        return functional.embedding_bag(rows, self.rows, per_sample_weights=weights, mode="sum")


def _gather(scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Return the scores ``(K, R)`` of ``(K, ...)`` where ``mask`` is True, whatever the layout in memory."""
    place = mask.nonzero(as_tuple=True)
    strides = scores.stride()[1:]
    offset = torch.zeros_like(place[0])
    for index, stride in zip(place, strides, strict=True):
        offset += index * stride
    span = 1 + sum((size - 1) * stride for size, stride in zip(scores.shape[1:], strides, strict=True))
    found = scores.new_empty((len(scores), len(offset)))
    for values, row in zip(scores, found, strict=True):
        torch.index_select(values.as_strided((span,), (1,)), 0, offset, out=row)
    return found


def interpolated_labels(scores: torch.Tensor, positions: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return the arg-max ``(1, ...)`` of class scores ``(K, ...)`` interpolated at positions along their own axes."""
    sizes = [len(position) for position in positions]
    labels = torch.zeros([1, *sizes], dtype=label_dtype(len(scores)), device=scores.device)
    SlabLabels(AlignedGrid(positions, scores.shape[1:], labels, axis=0)).add(scores)
    return labels


def label_dtype(classes: int) -> torch.dtype:
    """Return the smallest type of PyTorch that holds the labels of so many classes."""
    return next(dtype for dtype in (torch.uint8, torch.int16, torch.int32) if classes - 1 <= torch.iinfo(dtype).max)


def winners(scores: torch.Tensor) -> torch.Tensor:
    """Return the arg-max of ``(K, D, ...)`` over the first axis, the first class at ties.

    Several times faster than ``argmax`` over the slowest axis, since it compares whole planes class by class.

    Raises:
        ValueError: when the largest score of a voxel is not finite.
    """
    classes, planes = scores.shape[:2]
    dtype = label_dtype(classes + 1)
    labels = torch.zeros(scores.shape[1:], dtype=dtype, device=scores.device)
    step = max(LAYER // max(math.prod(scores.shape[2:]), 1), 1)
    for start in range(0, planes, step):
        part, label = scores[:, start : start + step], labels[start : start + step]
        best, larger, number = part[0].clone(), torch.empty_like(label, dtype=torch.bool), torch.empty_like(label)
        for value in range(1, classes):
            torch.gt(part[value], best, out=larger)
            torch.maximum(part[value], best, out=best)
            torch.maximum(label, number.copy_(larger).mul_(value), out=label)
        if not best.isfinite().all():
            raise ValueError("scores of the network are not finite; check its weights and the voxels of the input.")
    return labels


def confidence(scores: torch.Tensor, maps: Sequence[str]) -> list[torch.Tensor]:
    """Return maps of how sure the scores ``(M, K)`` are, as uint8 with 255 for 1.

    ``"probability"`` is the largest softmax probability, ``"margin"`` its lead over the second, ``"entropy"`` that of
    the softmax in units of ``log(K)``.
    """
    if not maps:
        return []
    probabilities = scores.softmax(1)
    first = probabilities.max(1)
    found = {"probability": first.values}
    if "margin" in maps:
        others = probabilities.scatter(1, first.indices[:, None], 0)
        found["margin"] = first.values - others.amax(1)
    if "entropy" in maps:
        found["entropy"] = torch.special.entr(probabilities).sum(1) / math.log(scores.shape[1])
    return [found[name].mul(255).round_().clamp_(0, 255).to(torch.uint8) for name in maps]


def _cells(labels: torch.Tensor, blends: Sequence[bool]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the label of every cell's first corners and whether its corners disagree."""
    low = high = labels
    for axis, count in enumerate(labels.shape):
        if blends[axis]:
            low = torch.minimum(low.narrow(axis, 0, count - 1), low.narrow(axis, 1, count - 1))
            high = torch.maximum(high.narrow(axis, 0, count - 1), high.narrow(axis, 1, count - 1))
    return low, low != high


def _corners_of(cells: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    """Return which voxels are corners of the cells that are True."""
    for axis, count in enumerate(shape):
        if cells.shape[axis] < count:
            grown = cells.new_zeros([*cells.shape[:axis], count, *cells.shape[axis + 1 :]])
            grown.narrow(axis, 0, count - 1).logical_or_(cells)
            grown.narrow(axis, 1, count - 1).logical_or_(cells)
            cells = grown
    return cells
