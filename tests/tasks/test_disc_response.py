from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from bundle.tasks.spine import DiscResponsed
from bundle.tasks.spine.discs import Disc
from bundle.tasks.spine.discs.level_certainty import LevelCertainty

AFFINE = np.array([[0, 0, 2.0, -10], [0, -1.5, 0, 30], [-1.0, 0, 0, 5], [0, 0, 0, 1]])
SHAPE = (9, 8, 7)


def case(folder: Path) -> dict:
    file = folder / "exam.nii.gz"
    nib.save(nib.Nifti1Image(np.zeros(SHAPE, np.int16), AFFINE), file)
    places = {21: (1, 2, 3), 22: (5, 3, 3), 23: (90, 3, 3)}
    discs = [Disc(value, tuple((AFFINE @ [*voxel, 1])[:3].tolist()), 0.5) for value, voxel in places.items()]
    return {"image": MetaTensor(torch.zeros(1, 2, 2, 2), meta={"filename_or_obj": str(file)}), "discs": discs}


@pytest.mark.parametrize(("numbering", "values"), [("sct", (21, 22)), ("totalspineseg", (92, 93))])
def test_discs_become_a_label_map_on_the_grid_of_the_file(
    numbering: str, values: tuple[int, int], tmp_path: Path
) -> None:
    labels = DiscResponsed("discs", numbering=numbering)(case(tmp_path))["pred"]
    assert labels.dtype == torch.uint8
    assert tuple(labels.shape) == (1, *SHAPE)
    assert {tuple(place): int(labels[tuple(place)]) for place in labels.nonzero().tolist()} == {
        (0, 1, 2, 3): values[0],
        (0, 5, 3, 3): values[1],
    }
    assert np.allclose(labels.affine, AFFINE)


def test_the_discs_within_the_file_are_listed_in_world_mm(tmp_path: Path) -> None:
    result = json.loads(json.dumps(DiscResponsed("discs")(case(tmp_path))["result"]))
    first = pytest.approx((AFFINE @ [1, 2, 3, 1])[:3].tolist())
    assert list(result["points"]) == ["L1-L2", "L2-L3"]
    assert result["points"]["L1-L2"] == first
    assert [disc["name"] for disc in result["discs"]] == ["L1-L2", "L2-L3"]
    assert result["discs"][0] == {
        "value": 21,
        "name": "L1-L2",
        "position": first,
        "voxel": [1, 2, 3],
        "confidence": 0.5,
    }


def test_the_certainty_of_the_numbering_is_in_the_response(tmp_path: Path) -> None:
    data = {**case(tmp_path), "numbering": LevelCertainty(0.5, ("no end of the spine in view",))}
    assert DiscResponsed("discs")(data)["result"]["numbering"] == "uncertain"
