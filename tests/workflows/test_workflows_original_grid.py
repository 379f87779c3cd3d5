"""The inference config makes label maps on the grid of the file, as MONAI's inferer and Invertd do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from helpers.phantoms import ball, noise, orientation_affine, rotation, write_nifti
from helpers.workflows import run_workflow, save_small_weights

OURS = {
    "_target_": "bundle.inference.SlabInferer",
    "roi_size": "@roi_size",
    "overlap": "@overlap",
    "spread": "scan",
    "assembler": "@label_map",
}
MONAIS = {"_target_": "SlidingWindowInferer", "roi_size": "@roi_size", "overlap": "@overlap", "mode": "gaussian"}
RESTORE = {"_target_": "bundle.grid.RestoreGridd", "keys": "pred", "transform": "@preprocessing"}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_small_weights(tmp_path_factory.mktemp("weights"))


def segment(image: Path, output: Path, checkpoint: str, inferer: dict[str, Any], **overrides: Any) -> nib.Nifti1Image:
    overrides = {"inferer": inferer, "checkpoint": checkpoint, **overrides}
    run_workflow("inference.json", input=str(image), output_dir=str(output), **overrides)
    return nib.load(output / image.name.replace(".nii.gz", "_seg.nii.gz"))


@pytest.mark.parametrize(
    "affine",
    [
        orientation_affine("LPS", (1.0, 1.0, 1.0)),
        orientation_affine("PIR", (2.0, 0.7, 0.7)),
        rotation(20, -15, 30) @ np.diag([1.1, 0.9, 1.0, 1]),
        np.diag([0.6, 0.6, 3.0, 1.0]),
    ],
    ids=["same voxels", "thick sagittal slices", "oblique", "thick slices"],
)
def test_labels_are_those_of_monais_inferer_and_inversion(affine: np.ndarray, tmp_path: Path, checkpoint: str) -> None:
    image = write_nifti(tmp_path / "scan.nii.gz", noise((24, 19, 21)) + ball((24, 19, 21), 6), affine)
    ours = segment(image, tmp_path / "ours", checkpoint, OURS)
    peer = segment(image, tmp_path / "peer", checkpoint, MONAIS, **{"postprocessing#transforms#0": RESTORE})
    assert ours.get_data_dtype() == peer.get_data_dtype() == np.uint8
    np.testing.assert_array_equal(ours.affine, peer.affine)
    found, expected = np.asarray(ours.dataobj), np.asarray(peer.dataobj)
    assert np.unique(expected).size > 1
    assert np.count_nonzero(found != expected) <= 1


def test_maps_of_confidence_do_not_change_the_labels(tmp_path: Path, checkpoint: str) -> None:
    image = write_nifti(tmp_path / "scan.nii.gz", noise((24, 19, 21)), np.diag([0.6, 0.6, 3.0, 1.0]))
    plain = segment(image, tmp_path / "a", checkpoint, OURS)
    found = segment(image, tmp_path / "b", checkpoint, OURS, confidence=["probability", "margin", "entropy"])
    np.testing.assert_array_equal(found.dataobj, plain.dataobj)
