"""The complete demo: the shipped weights on the MNI152 template."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from bundle.cli.demo import load_template, run_demo

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("demo"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning"),
]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, dict[str, float]]]:
    folder = tmp_path_factory.mktemp("demo")
    return folder, run_demo(folder)


def test_both_hippocampi_have_the_volume_of_a_healthy_adult(demo: tuple[Path, dict[str, dict[str, float]]]) -> None:
    """3 to 5 cm3 a side in the template, which is larger than most brains; the two differ by less than 15 %."""
    _, volumes = demo
    left, right = (sum(volumes[side].values()) for side in ("left", "right"))
    assert 3000 < left < 5000
    assert 3000 < right < 5000
    assert abs(left - right) / (left + right) < 0.075


def test_the_label_map_lies_on_the_grid_of_the_template(demo: tuple[Path, dict[str, dict[str, float]]]) -> None:
    folder, volumes = demo
    result, template = nib.load(folder / "mni152_hippocampus.nii.gz"), load_template()
    assert result.shape == template.shape
    np.testing.assert_array_equal(result.affine, template.affine)
    assert result.get_data_dtype() == np.uint8
    counted = {value: int((np.asarray(result.dataobj) == value).sum()) for value in (1, 2)}
    assert counted[1] == sum(side["anterior"] for side in volumes.values())
    assert counted[2] == sum(side["posterior"] for side in volumes.values())


def test_each_side_is_one_piece_with_the_anterior_part_in_front(demo: tuple[Path, dict[str, dict[str, float]]]) -> None:
    folder, _ = demo
    result = nib.load(folder / "mni152_hippocampus.nii.gz")
    labels = np.asarray(result.dataobj)
    for sign in (-1, 1):
        x = result.affine[0, 3] + np.arange(labels.shape[0])
        side = np.where((np.sign(x) == sign)[:, None, None], labels, 0)
        pieces, count = ndimage.label(side > 0)
        sizes = np.bincount(pieces.ravel())[1:]
        assert sizes.max() / sizes.sum() > 0.98, f"{count} pieces"
        anterior, posterior = (np.argwhere(side == value).mean(0) for value in (1, 2))
        assert anterior[1] - posterior[1] > 10
        for value in (1, 2):
            part, _ = ndimage.label(side == value)
            assert np.bincount(part.ravel())[1:].max() / (side == value).sum() > 0.95, "the two labels are not mixed"


def test_the_overlay_is_an_image(demo: tuple[Path, dict[str, dict[str, float]]]) -> None:
    folder, _ = demo
    with Image.open(folder / "mni152_hippocampus.png") as image:
        assert min(image.size) > 500
