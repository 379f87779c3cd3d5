"""Slabs share out the voxels of another grid: each belongs to one, but those outside of the source."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from helpers.phantoms import rotation

from bundle.grid.grids import AlignedGrid, Grid, ObliqueGrid

SHAPE = (5, 6, 7)


def aligned(axis: int) -> tuple[Grid, np.ndarray]:
    """A grid that runs against the first axis and reaches beyond both ends of the last one."""
    steps = [(-0.4, 4.0, 11), (1.0, 0.0, 6), (0.7, -2.1, 16)]
    positions = [step * torch.arange(count, dtype=torch.float64) + start for step, start, count in steps]
    target = torch.zeros(1, 11, 6, 16, dtype=torch.int16)
    matrix = np.array([[-0.4, 0, 0, 4], [0, 1, 0, 0], [0, 0, 0.7, -2.1]])
    return AlignedGrid(positions, SHAPE, target, axis=axis), matrix


def oblique(axis: int) -> tuple[Grid, np.ndarray]:
    matrix = (rotation(20, 30, -40) @ np.diag([0.8, 0.6, 1.1, 1]))[:3]
    matrix[:, 3] = 1, -1, 2
    target = torch.zeros(1, 9, 8, 10, dtype=torch.int16)
    return ObliqueGrid(matrix, SHAPE, target, axis=axis), matrix


def inside(matrix: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    position = np.tensordot(matrix[:, :3], np.indices(size), 1) + matrix[:, 3].reshape(3, 1, 1, 1)
    shape = np.array(SHAPE).reshape(3, 1, 1, 1)
    return ((position > -1 + 1e-5) & (position < shape - 1e-5)).all(0)


@pytest.mark.parametrize("make", [aligned, oblique])
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("step", [1, 2, 9])
def test_every_voxel_belongs_to_one_slab_and_lies_behind_its_lower_corner(make: object, axis: int, step: int) -> None:
    grid, matrix = make(axis)
    cells = [count - blend for count, blend in zip(grid.shape, grid.blends, strict=True)]
    number = torch.arange(int(np.prod(cells)), dtype=torch.int16).view(cells)
    counts = torch.zeros(grid.target.shape[1:], dtype=torch.int64)
    for first in range(0, cells[0], step):
        stop = min(first + step, cells[0])
        for piece in grid.pieces(first, stop):
            values = piece.spread(number[first:stop])
            corners = piece.corners(torch.arange(len(values)))
            low = [place for place, _ in corners]
            assert torch.equal(values, number[(low[0] + first, *low[1:])])
            assert all(((share >= 0) & (share <= 1)).all() for _, share in corners)
            before = grid.target[0].clone()
            piece.write(0, values + 1)
            counts += grid.target[0] != before
    assert torch.equal(counts == 1, torch.as_tensor(inside(matrix, tuple(counts.shape))))
    assert counts.max() == 1


@pytest.mark.parametrize("make", [aligned, oblique])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32], ids=str)
def test_values_of_another_type_are_cast_to_that_of_the_output(make: object, dtype: torch.dtype) -> None:
    grid, _ = make(0)
    for piece in grid.pieces(0, SHAPE[0]):
        piece.write(0, piece.spread(torch.full(SHAPE, 7, dtype=dtype)))
    assert grid.target.dtype == torch.int16
    assert set(grid.target.unique().tolist()) == {0, 7}


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_positions_on_the_voxels_need_no_neighbors(axis: int) -> None:
    positions = [torch.arange(count, dtype=torch.float64) + 1e-9 for count in SHAPE]
    grid = AlignedGrid(positions, SHAPE, torch.zeros(1, *SHAPE), axis=axis)
    assert grid.blends == [False, False, False]
    assert grid.order[0] == axis


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))), ids=str)
def test_the_axes_behind_the_slabs_come_as_the_output_lies_in_memory(order: tuple[int, ...]) -> None:
    target = torch.zeros(1, *(SHAPE[axis] for axis in order)).permute(0, *(order.index(axis) + 1 for axis in range(3)))
    grid = AlignedGrid([torch.arange(count) / 2 for count in SHAPE], SHAPE, target, axis=1)
    assert grid.order == [1, *(axis for axis in order if axis != 1)]
