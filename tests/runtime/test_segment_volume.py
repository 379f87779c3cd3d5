"""A volume is segmented as by the inferer of the workflows; what is not plausible is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from helpers.onnx_models import VOLUMES, network, write_volume_model
from helpers.phantoms import write_nifti
from helpers.runtime_images import AFFINES, workflow
from scipy import ndimage

from bundle.grid import LabelMapAssembler
from bundle.inference import SlabInferer
from bundle.runtime.keyslice_run import run_model

NAMES = ("volume_mm3", "confidence")


def blob() -> np.ndarray:
    """Return voxels of two classes within a background."""
    values = np.zeros((19, 24, 15), np.float32)
    values[6:13, 8:16, 4:11] = 15
    values[8:11, 10:14, 6:9] = 40
    return ndimage.gaussian_filter(values, 1) + np.linspace(0, 1, 15, dtype=np.float32)


def known(mean: float) -> dict[str, Any]:
    """Return what is known of plausible results with a volume about a mean."""
    distribution = {"cases": 9, "names": ["volume_mm3"], "mean": [mean], "covariance": [[100.0]]}
    return {"weights": "", "distributions": {"crop": distribution, "region": distribution}}


def run(folder: Path, affine: np.ndarray, **about: Any) -> dict[str, Any]:
    file = write_nifti(folder / "in" / "case.nii.gz", blob(), affine)
    model = write_volume_model(folder / "model.onnx", **about)
    (record,) = run_model(model, file, folder / "out", threads=1)
    return record.to_json()


@pytest.mark.parametrize("affine", AFFINES.values(), ids=AFFINES)
def test_the_label_map_is_that_of_the_workflow(affine: np.ndarray, tmp_path: Path) -> None:
    found = run(tmp_path, affine)
    file = tmp_path / "in" / "case.nii.gz"
    image = workflow(file, pixdim=[1.0, 1.0, 1.0])
    inferer = SlabInferer(VOLUMES["window"], overlap=0.25, assembler=LabelMapAssembler())
    with torch.no_grad():
        wanted = inferer(image[None], network())[0, 0].numpy()
    written = nib.load(tmp_path / "out" / "case_seg.nii.gz")
    labels = np.asarray(written.dataobj)
    assert labels.dtype == np.uint8
    assert (labels == wanted).mean() > 0.9999
    assert set(np.unique(labels)) == {0, 1, 2}
    np.testing.assert_allclose(written.affine, nib.load(file).affine)
    assert found["labels"]["low"]["voxels"] == (labels == 1).sum()
    assert found["labels"]["high"]["components"] == 1
    assert {"margin", "entropy", "border_margin", "border_entropy"} <= found["labels"]["low"].keys()
    assert found == json.loads((tmp_path / "out" / "case.json").read_text())
    assert (tmp_path / "out" / "case_dseg.tsv").read_text().splitlines()[1:] == ["0\tbackground", "1\tlow", "2\thigh"]


def test_a_class_without_a_name_counts_in_the_entropy_as_in_the_workflow(tmp_path: Path) -> None:
    named, unnamed = run(tmp_path / "a", np.eye(4)), run(tmp_path / "b", np.eye(4), label_names={"low": 1})
    assert unnamed["labels"] == {"low": named["labels"]["low"]}


def test_a_plausible_result_has_its_distance(tmp_path: Path) -> None:
    wide = {**VOLUMES["preprocessing"], "largest_crop_mm": [99.0] * 3}
    found = run(tmp_path, np.eye(4), plausibility=known(400.0), preprocessing=wide)
    assert found["plausibility"]["plausible"] in (True, False)
    assert found["plausibility"]["features"]["volume_mm3"] > 100


def test_a_result_that_is_not_plausible_is_refused(tmp_path: Path) -> None:
    wide = {**VOLUMES["preprocessing"], "largest_crop_mm": [99.0] * 3}
    found = run(tmp_path, np.eye(4), plausibility=known(1e6), preprocessing=wide)
    assert found["error"] == "ImplausibleResultError"
    assert found["shape"] == [19, 24, 15]
    assert found["plausibility"]["plausible"] is False
    assert not (tmp_path / "out" / "case_seg.nii.gz").exists()


def test_an_image_that_is_no_crop_is_refused(tmp_path: Path) -> None:
    found = run(tmp_path, np.eye(4), plausibility=known(400.0))
    assert found["error"] == "NotACropError"
    assert "of at most 20 x 20 x 20 mm; cut the image around the region" in found["message"]


def test_an_image_that_is_mostly_one_value_is_remarked_on_once(tmp_path: Path) -> None:
    percentiles = {**VOLUMES["preprocessing"], "percentiles": [1.0, 20.0]}
    file = write_nifti(tmp_path / "in" / "case.nii.gz", np.where(blob() > 10, 15, 0).astype(np.float32))
    model = write_volume_model(tmp_path / "model.onnx", preprocessing={**percentiles, "exclude_border": False})
    (record,) = run_model(model, file, tmp_path / "out")
    assert sum("not clipped" in remark for remark in record.to_json()["remarks"]) == 1
