from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from PIL import Image

from bundle.io import LoadColorImaged
from bundle.tasks.images import MaskResponsed, SaveMaskd


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("decision", [{}, {"threshold": 0.8}, {"single_region": True}], ids=["plain", "high", "single"])
def test_the_response_is_the_mask_that_would_be_written(orientation: int, decision: dict, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.full((7, 9, 3), 120, np.uint8)).save(tmp_path / "mole.png", exif=exif)
    image = LoadColorImaged("image")({"image": str(tmp_path / "mole.png")})["image"]
    found = torch.rand(1, *image.shape[1:], generator=torch.Generator().manual_seed(0))
    saver = SaveMaskd("pred", label_names={"lesion": 1}, output_dir=tmp_path / "out", decision=decision)
    response = MaskResponsed("pred", saver=saver)({"image": image, "pred": MetaTensor(found)})["pred"]
    assert not (tmp_path / "out").exists()
    saver({"image": image, "pred": found})
    written = np.asarray(Image.open(tmp_path / "out" / "mole_seg.png"))
    assert response.dtype == torch.uint8
    assert np.array_equal(response.numpy().T, written)
    assert set(np.unique(written)) == {0, 255}


def test_of_several_classes_the_most_probable_is_used(tmp_path: Path) -> None:
    saver = SaveMaskd("pred", label_names={"a": 1, "b": 2}, output_dir=tmp_path, levels=[128, 255])
    found = torch.eye(3)[:, None]
    response = MaskResponsed("pred", saver=saver)({"image": MetaTensor(torch.zeros(3, 1, 3)), "pred": found})["pred"]
    assert response.tolist() == [[0], [128], [255]]
