"""Reference and prediction are loaded together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.phantoms import write_nifti
from PIL import Image

from bundle.io import LoadColorImaged, LoadLabelMaps, LoadMasks
from bundle.io.input_checks import GridMismatchError, LabelValuesError

CLASSES = {"edema": 1, "core": 2}
VALUES = {"edema": [2], "core": [4]}


def label_map(path: Path, *values: int, shift: float = 0) -> str:
    voxels = np.zeros((4, 5, 6), dtype=np.uint8)
    for place, value in enumerate(values):
        voxels[place] = value
    affine = np.eye(4)
    affine[0, 3] = shift
    return str(write_nifti(path, voxels, affine))


def test_both_label_maps_get_the_classes_of_the_dataset(tmp_path: Path) -> None:
    case = {"label": label_map(tmp_path / "l.nii.gz", 2, 4), "prediction": label_map(tmp_path / "p.nii.gz", 4, 4)}
    loaded = LoadLabelMaps(classes=CLASSES, label_values=VALUES)(case)
    assert loaded["label"][0, :3, 0, 0].tolist() == [1, 2, 0]
    assert loaded["pred"][0, :3, 0, 0].tolist() == [2, 2, 0]


def test_a_prediction_may_hold_the_classes_already(tmp_path: Path) -> None:
    case = {"label": label_map(tmp_path / "l.nii.gz", 2, 4), "prediction": label_map(tmp_path / "p.nii.gz", 1, 2)}
    loaded = LoadLabelMaps(classes=CLASSES, label_values=VALUES, prediction_values="classes")(case)
    assert torch.equal(loaded["label"].as_tensor(), loaded["pred"].as_tensor())


def test_a_value_of_no_class_is_an_error(tmp_path: Path) -> None:
    case = {"label": label_map(tmp_path / "l.nii.gz", 1), "prediction": label_map(tmp_path / "p.nii.gz", 3)}
    with pytest.raises(LabelValuesError, match=r"p\.nii\.gz"):
        LoadLabelMaps(classes=CLASSES)(case)


def test_a_prediction_on_another_grid_is_an_error(tmp_path: Path) -> None:
    case = {"label": label_map(tmp_path / "l.nii.gz", 1), "prediction": label_map(tmp_path / "p.nii.gz", 1, shift=2)}
    with pytest.raises(GridMismatchError, match="resample the prediction to the grid of the label"):
        LoadLabelMaps(classes=CLASSES)(case)


def test_prediction_values_are_one_of_two() -> None:
    with pytest.raises(ValueError, match="prediction_values must be 'files' or 'classes', got 'raw'"):
        LoadLabelMaps(prediction_values="raw")


def gray(path: Path, levels: list[int]) -> str:
    pixels = np.repeat(np.array(levels, dtype=np.uint8)[:, None], 8, axis=1)
    Image.fromarray(pixels).save(path)
    return str(path)


@pytest.mark.parametrize(
    ("levels", "classes", "channels"),
    [
        ([255], {"lesion": 1}, [[0, 0, 1, 1]]),
        ([255], {"lesion": 1, "ignore": 2}, [[0, 0, 1, 1]]),
        ([128, 255], {"cytoplasm": 1, "nucleus": 2}, [[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 1, 1]]),
    ],
)
def test_a_mask_becomes_probabilities(
    tmp_path: Path, levels: list[int], classes: dict[str, int], channels: list[list[int]]
) -> None:
    Image.fromarray(np.zeros((4, 8, 3), dtype=np.uint8)).save(tmp_path / "image.png")
    label, pred = gray(tmp_path / "l.png", [0, 255, 255, 0]), gray(tmp_path / "p.png", [0, 0, 255, 255])
    case = {"image": str(tmp_path / "image.png"), "label": label, "prediction": pred}
    load = LoadColorImaged(["image", "label"], levels=levels, classes=classes)
    loaded = LoadMasks(classes=classes, load=load, levels=levels)(case)
    assert loaded["pred"][:, :, 0].tolist() == channels
    assert loaded["label"][0, :, 0].tolist() == [0, len(levels), len(levels), 0]
