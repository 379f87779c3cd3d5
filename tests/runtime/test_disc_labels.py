"""Discs are found and written as by the transforms of the workflow, from the same heat maps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.onnx_models import write_disc_model
from helpers.phantoms import noise, rotation, write_nifti
from monai.transforms import Compose, Orientationd
from torch.nn.functional import adaptive_avg_pool2d

from bundle import ROOT
from bundle.grid import CropConstantBorderd, ResampleSpacingd
from bundle.io import LoadVolumed
from bundle.runtime.disc_labels import cell_means
from bundle.runtime.keyslice_run import run_model
from bundle.tasks.spine import DecodeDiscsd, SagittalSlabsd, SaveDiscsd
from bundle.tasks.spine.discs import SkeletonPrior, make_heatmaps
from bundle.transforms import StandardizeIntensityd

SKELETON = Path(ROOT, "models", "disc_labeling", "skeleton.json")
SLABS: dict[str, Any] = {"thickness": 6.0, "offsets": [-12.0, -6.0, 0.0, 6.0, 12.0]}
ENDINGS = (".csv", ".mrk.json", "_label-discs_dlabel.nii.gz", "_label-discs_dlabel.json")


def heat_maps(cells: tuple[int, int]) -> torch.Tensor:
    """Return maps of 24 levels ``(5, 24, a, s)`` with five lumbar discs, clearest in the second slab."""
    points = np.full((24, 2), np.nan)
    points[18:23] = [[40.0, 110.0 - 23 * number] for number in range(5)]
    maps = make_heatmaps(points, cells, sigma=4.0, stride=4)
    return torch.stack([share * maps for share in (0.6, 0.95, 0.7, 0.4, 0.2)])


def prepared(file: Path) -> Any:
    """Return the slabs of a file as the workflow cuts them."""
    steps = [
        LoadVolumed("image", spacing_range=(0.2, 10.0)),
        Orientationd("image", axcodes="RAS", labels=None),
        CropConstantBorderd("image"),
        ResampleSpacingd("image", pixdim=[None, 1.5, 1.5]),
        StandardizeIntensityd("image", percentiles=[1.0, 99.0]),
        SagittalSlabsd("image", **SLABS),
    ]
    return Compose(steps)({"image": str(file)})


@pytest.mark.parametrize("turn", [(0, 0, 0), (4, -7, 9)])
def test_discs_and_files_are_those_of_the_workflow(turn: tuple[int, int, int], tmp_path: Path) -> None:
    affine = rotation(*turn) @ np.diag([-3.0, 1.5, 1.5, 1.0])
    file = write_nifti(tmp_path / "spine.nii.gz", np.pad(noise((16, 64, 96)), ((0, 0), (3, 0), (0, 5))), affine)
    data = prepared(file)
    maps = heat_maps((16, 24))
    assert len(maps) == len(data["image"])
    decode = DecodeDiscsd("pred", skeleton=SkeletonPrior.load(SKELETON))
    (tmp_path / "workflow").mkdir()
    SaveDiscsd("discs", output_dir=tmp_path / "workflow")(decode({**data, "pred": maps, "case": "spine"}))
    model = write_disc_model(tmp_path / "model.onnx", maps.numpy(), json.loads(SKELETON.read_text()))
    (record,) = run_model(model, file, tmp_path / "runtime", threads=1)
    assert record.is_completed, record.message
    for ending in ENDINGS:
        found, wanted = ((tmp_path / name / f"spine{ending}").read_bytes() for name in ("runtime", "workflow"))
        assert found == wanted, ending
    wanted = json.loads((tmp_path / "workflow" / "spine.json").read_text())
    assert len(wanted["discs"]) >= 4
    for name in ("discs", "numbering", "frame", "unit", "remarks"):
        assert record.to_json().get(name) == wanted.get(name), name


@pytest.mark.parametrize("counts", [(1, 1), (5, 4), (9, 11)])
def test_cells_are_those_of_pytorch(counts: tuple[int, int]) -> None:
    volume = noise((3, 23, 31))
    wanted = adaptive_avg_pool2d(torch.as_tensor(volume)[:, None], counts).flatten(1).numpy()
    np.testing.assert_allclose(cell_means(volume, counts), wanted, atol=1e-5)
