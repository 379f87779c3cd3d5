"""Label maps and numbers are those of the assembler of the workflows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.phantoms import noise, rotation, write_nifti
from helpers.runtime_images import AFFINES, OPTIONS, workflow
from scipy import ndimage

from bundle.grid import LabelMapAssembler
from bundle.inference import FeatureAssembler
from bundle.runtime import label_assembly
from bundle.runtime.label_assembly import LabelAssembly, ResultNumbers
from bundle.runtime.volume_image import VolumeImage, load_volume, resample

NAMES = {"one": 1, "two": 2}


def smooth_scores(shape: tuple[int, ...]) -> np.ndarray:
    scores = np.random.default_rng(0).random((3, *shape)).astype(np.float32)
    return np.stack([ndimage.gaussian_filter(part, 2) for part in scores]) * 30


@pytest.mark.parametrize("affine", AFFINES.values(), ids=AFFINES)
@pytest.mark.parametrize("pixdim", [[1.0, 1.0, 1.0], [None, None, None]])
@pytest.mark.parametrize("axis", [0, 2])
def test_label_maps_and_numbers_are_those_of_the_workflow(
    affine: np.ndarray, pixdim: list[Any], axis: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(label_assembly, "CHUNK", 2000)
    file = write_nifti(tmp_path / "a.nii.gz", np.pad(noise((17, 22, 13)), ((2, 0), (1, 3), (0, 4))), affine)
    image, original = resample(load_volume(file, **OPTIONS), pixdim), workflow(file, pixdim=pixdim)
    features = FeatureAssembler(LabelMapAssembler(), label_names=NAMES, enabled=True)
    writer = features.start(original[None], classes=3, axis=axis)
    assembly, numbers = LabelAssembly(image, axis=axis), ResultNumbers(NAMES, classes=3, axis=axis)
    scores = smooth_scores(image.values.shape[1:])
    for slab in np.split(scores, [1, 4, 5, 11], axis=1 + axis):
        writer.add(torch.as_tensor(slab))
        assembly.add(slab)
        numbers.add(slab)
    wanted = writer.finish()[0, 0].numpy()
    assert assembly.labels.shape == wanted.shape
    assert (assembly.labels == wanted).mean() > 0.9999
    for name, values in features.numbers.items():
        assert numbers.structures()[name] == pytest.approx(values, abs=2e-4)
    assert numbers.features(image.affine) == pytest.approx(features.features, abs=1e-3)
    assert numbers.cut_center(image.affine) == pytest.approx(features.cut_center_mm)


def test_scores_that_are_not_finite_are_an_error() -> None:
    image = VolumeImage(np.zeros((1, 4, 4, 4)), np.eye(4), (4, 4, 4), np.eye(4), (slice(0, 4),) * 3)
    with pytest.raises(ValueError, match="scores of the network are not finite"):
        LabelAssembly(image, axis=0).add(np.full((2, 4, 4, 4), np.nan))


def test_a_grid_that_lies_askew_is_an_error() -> None:
    image = VolumeImage(np.zeros((1, 9, 9, 9)), rotation(0, 0, 20), (9, 9, 9), np.eye(4), (slice(0, 9),) * 3)
    with pytest.raises(ValueError, match="do not run along"):
        LabelAssembly(image, axis=0)


def test_a_result_without_a_label_has_no_numbers() -> None:
    numbers = ResultNumbers(NAMES, classes=3, axis=0)
    numbers.add(np.stack([np.ones((4, 4, 4), np.float32), *np.zeros((2, 4, 4, 4), np.float32)]))
    assert numbers.structures() == {}
    assert numbers.features(np.eye(4)) == {"volume_mm3": 0.0}
