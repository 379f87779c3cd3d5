"""Class activation maps are written on the grid of the input, with a record."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from helpers.explained import NAMES, SIZE, Linear
from helpers.phantoms import meta_tensor, noise, write_nifti
from monai.transforms import Compose, Orientationd

from bundle.explain import ActivationMaps, SaveActivationd
from bundle.io import LoadVolumed


def test_the_voxel_of_the_largest_value_is_recorded_on_the_grid_of_the_file(tmp_path: Path) -> None:
    """One hot voxel in a volume whose axes are turned: the file has a 1 there, and zeros elsewhere."""
    source = write_nifti(tmp_path / "scan.nii.gz", noise((4, 5, 6)), np.diag([-1.0, -1.0, 1.0, 1.0]))
    preprocessing = Compose([LoadVolumed("image"), Orientationd("image", axcodes="RAS", labels=None)])
    image = preprocessing({"image": str(source)})["image"]
    pred = torch.zeros(3, 4, 5, 6)
    pred[0, 1:3], pred[1, 1, 2, 3] = 1, 7.5
    maps = ActivationMaps(Linear(), label_names=NAMES, roi_size=SIZE, layer="layer")
    save = SaveActivationd("pred", maps=maps, transform=preprocessing, output_dir=tmp_path / "out")
    record = save({"image": image, "pred": meta_tensor(pred)})["record"].to_json()
    peak = (4 - 1 - 1, 5 - 1 - 2, 3)
    assert record["structures"]["a"]["peak_voxel"] == list(peak)
    assert record["structures"]["a"]["predicted_voxels"] == 60
    assert record["structures"]["a"]["share_inside"] == 1
    written = nib.load(tmp_path / "out" / "scan_cam_a.nii.gz")
    assert written.get_data_dtype() == np.float32
    values = np.asarray(written.dataobj)
    assert values[peak] == values.sum() == 1
    assert record["structures"]["b"]["peak_voxel"] is None
    assert record["remarks"] == ["the map of b is zero: it is predicted nowhere in this volume"]


def test_a_map_without_positive_evidence_is_recorded(tmp_path: Path) -> None:
    source = write_nifti(tmp_path / "scan.nii.gz", noise((4, 5, 6)))
    preprocessing = Compose([LoadVolumed("image"), Orientationd("image", axcodes="RAS", labels=None)])
    pred = torch.zeros(2, 4, 5, 6)
    pred[0] = 2
    maps = ActivationMaps(Linear(), label_names=NAMES, roi_size=SIZE, layer="layer", structure="b")
    save = SaveActivationd("pred", maps=maps, transform=preprocessing, output_dir=tmp_path)
    record = save({**preprocessing({"image": str(source)}), "pred": meta_tensor(pred), "case": "x"})["record"].to_json()
    assert record["remarks"] == ["the map of b is zero: no voxel of the layer supports it"]
    assert not np.asarray(nib.load(tmp_path / "x_cam_b.nii.gz").dataobj).any()
