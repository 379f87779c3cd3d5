"""Windows cover a volume, evenly spread or with MONAI's steps."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
from monai.data.utils import dense_patch_slices
from monai.inferers.utils import _get_scan_interval

from bundle.inference.windows import corners, slab_axis, window_starts, windowed_inferer


@pytest.mark.parametrize("size", [1, 7, 8, 9, 15, 16, 17, 40, 41, 99])
@pytest.mark.parametrize("roi", [1, 2, 3, 8, 16])
@pytest.mark.parametrize("overlap", [0, 0.1, 0.25, 0.5, 0.8, 0.9, 0.99])
def test_windows_cover_all_are_evenly_spread_and_overlap_as_asked(size: int, roi: int, overlap: float) -> None:
    starts = window_starts(size, roi, overlap)
    steps = np.diff(starts)
    assert starts[0] == 0
    assert starts[-1] == max(size - roi, 0)
    assert set(range(size)) <= {start + i for start in starts for i in range(roi)}
    if len(starts) > 1:
        assert steps.min() >= 1
        assert steps.max() - steps.min() <= 1
        assert steps.max() <= max(roi * (1 - overlap) + 1e-9, 1)
        fewest = (size - roi) / max(np.floor(roi * (1 - overlap) + 1e-9), 1)
        assert len(starts) == np.ceil(fewest) + 1


@pytest.mark.parametrize("size", [1, 7, 8, 9, 15, 16, 17, 40, 41, 99])
@pytest.mark.parametrize("roi", [1, 2, 3, 8, 10, 16])
@pytest.mark.parametrize("overlap", [0, 0.1, 0.25, 0.5, 0.8, 0.9, 0.99])
def test_the_scan_has_the_windows_of_monai(size: int, roi: int, overlap: float) -> None:
    length = max(size, roi)
    interval = _get_scan_interval((length,), (roi,), 1, (overlap,))
    expected = [place[0].start for place in dense_patch_slices((length,), (roi,), interval)]
    assert window_starts(size, roi, overlap, spread="scan") == expected


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_windows_come_row_by_row_along_the_axis_of_the_slabs(axis: int) -> None:
    starts = [[0, 5], [0, 1, 2], [0, 7]]
    found = list(corners(starts, axis))
    assert sorted(found) == sorted(itertools.product(*starts))
    assert [corner[axis] for corner in found] == sorted(corner[axis] for corner in found)
    assert axis != 0 or found == list(itertools.product(*starts))


@pytest.mark.parametrize(
    ("size", "roi", "axis"), [((9, 8, 20), (8, 8, 8), 2), ((20, 20, 20), (8, 8, 8), 0), ((30, 20, 20), (30, 4, 8), 1)]
)
def test_slabs_run_where_they_take_the_least_memory(size: tuple, roi: tuple, axis: int) -> None:
    assert slab_axis(size, roi) == axis
    memory = [roi[a] * np.prod(size) / size[a] for a in range(3)]
    assert memory[axis] == min(memory)


def test_the_inferer_that_reports_windows_is_found_inside_of_others() -> None:
    inner = SimpleNamespace(on_window=None)
    assert windowed_inferer(inner) is inner
    assert windowed_inferer(SimpleNamespace(inferer=SimpleNamespace(inferer=inner))) is inner
    assert windowed_inferer(SimpleNamespace(inferer=SimpleNamespace())) is None
    assert windowed_inferer(None) is None
