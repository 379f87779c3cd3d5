from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from bundle.tasks.spine.midline import find_midline


def mirrored(middle: float, slices: int, step: float, *, noise: float = 0.0, seed: int = 0) -> torch.Tensor:
    """Return a volume of smooth random structure that is its own mirror image about ``middle`` (in slices)."""
    generator = np.random.default_rng(seed)
    half = gaussian_filter(generator.normal(size=(60, 40, 50)), (2, 3, 3))
    half /= half.std()
    distance = np.abs(np.arange(slices) - middle) * step
    low = np.floor(distance).astype(int)
    weight = (distance - low)[:, None, None]
    volume = (1 - weight) * half[low] + weight * half[low + 1]
    return torch.as_tensor(volume + noise * generator.normal(size=volume.shape))


@pytest.mark.parametrize(("slices", "step"), [(13, 4.0), (21, 2.5), (60, 1.0)])
@pytest.mark.parametrize("off_center", [-0.25, 0.0, 0.25])
@pytest.mark.parametrize("noise", [0.0, 0.7])
def test_the_plane_of_symmetry_is_found_off_center_in_few_slices_and_noise(
    slices: int, step: float, off_center: float, noise: float
) -> None:
    middle = round((0.5 + off_center) * (slices - 1) * 2) / 2
    found = find_midline(mirrored(middle, slices, step, noise=noise), (step, 3.0, 3.0))
    assert abs(found - middle) * step <= max(1.0, step / 2)


def test_a_plane_between_two_slices_is_found() -> None:
    assert find_midline(mirrored(6.5, 15, 4.0), (4.0, 3.0, 3.0)) == 6.5


@pytest.mark.parametrize("slices", [2, 3])
def test_a_volume_that_is_too_thin_has_its_midline_in_the_center(slices: int) -> None:
    assert find_midline(torch.rand(slices, 20, 20), (4.0, 1.0, 1.0)) == (slices - 1) / 2


def test_slices_too_far_apart_to_compare_give_the_center() -> None:
    assert find_midline(torch.rand(5, 20, 20), (60.0, 1.0, 1.0)) == 2.0


def test_without_any_structure_the_center_decides() -> None:
    assert find_midline(torch.full((9, 20, 20), 3.0), (4.0, 1.0, 1.0)) == 4.0


def test_scale_and_offset_of_the_intensities_do_not_matter() -> None:
    volume = mirrored(5.0, 13, 4.0, noise=0.3)
    assert find_midline(volume * 1e5 + 1e6, (4.0, 3.0, 3.0)) == find_midline(volume, (4.0, 3.0, 3.0)) == 5.0


def test_the_last_digits_of_the_voxel_size_do_not_matter() -> None:
    volume = mirrored(6.0, 15, 4.0, noise=1.5)[:, :50, :50]
    assert len({find_midline(volume, (4.0 * (1 + error), 3.0, 3.0)) for error in (-1e-7, 0.0, 1e-7)}) == 1


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("folder", "mask_name", "image_name"),
    [("lumbar_ffe_vertebrae", "vertebraseg", "FFE"), ("lumbar_t2_discs", "discseg", "T2w")],
)
def test_in_real_exams_the_plane_runs_through_the_masked_structures(
    folder: str, mask_name: str, image_name: str, shared_data: Path
) -> None:
    files = sorted((shared_data / "spine" / folder).glob(f"exam??_{mask_name}.nii.gz"))
    assert files
    for file in files:
        image = file.with_name(file.name.replace(mask_name, image_name))
        volume, mask = (nib.as_closest_canonical(nib.load(path)) for path in (image, file))
        step = float(volume.header.get_zooms()[0])
        middle = np.nonzero(np.asarray(mask.dataobj))[0].mean()
        found = find_midline(torch.as_tensor(volume.get_fdata()), volume.header.get_zooms())
        assert abs(found - middle) * step < 7
