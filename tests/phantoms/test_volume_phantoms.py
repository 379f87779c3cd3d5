"""Phantoms of every dataset are seeded, plausible, and different from case to case."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from bundle.data import DatalistError
from bundle.phantoms.volumes.volume_anatomy import GLIOMA, STRUCTURES
from bundle.phantoms.volumes.volume_phantoms import PHANTOMS, render, write_volume_phantoms


@pytest.mark.parametrize("name", PHANTOMS)
def test_every_tissue_with_a_label_is_seen_in_every_case(name: str) -> None:
    anatomy = PHANTOMS[name].anatomy
    wanted = {0, *(value for label in anatomy.labels.values() for value in np.atleast_1d(label).tolist())}
    for seed in range(3):
        images, label = render(anatomy, size=40, seed=seed)
        values = np.asarray(label.dataobj)
        assert set(np.unique(values).tolist()) == wanted
        assert min((values == value).sum() for value in wanted) > 20
        assert list(images) == list(anatomy.contrasts)
        for image in images.values():
            assert image.shape == (40, 40, 40)
            np.testing.assert_allclose(image.affine, label.affine)
            np.testing.assert_allclose(sorted(image.header.get_zooms()), sorted(anatomy.spacing), rtol=1e-6)
            assert "".join(nib.aff2axcodes(image.affine)) == anatomy.axes


def test_a_case_comes_out_the_same_by_its_seed_and_differs_from_others() -> None:
    first, second, other = (np.asarray(render(GLIOMA, size=24, seed=seed)[1].dataobj) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, second)
    assert (first != other).any()


def test_tissues_differ_in_their_gray_values() -> None:
    """The enhancing tissue is visible in T1 with contrast agent."""
    images, label = render(GLIOMA, size=40, seed=0)
    gray, values = np.asarray(images["t1ce"].dataobj), np.asarray(label.dataobj)
    assert gray[values == 4].mean() > 1.4 * max(gray[values == value].mean() for value in (0, 1, 2))
    assert (gray[0] == 0).all()


def test_left_and_right_have_values_of_their_own() -> None:
    _, label = render(STRUCTURES, size=40, seed=0)
    values = np.asarray(label.dataobj)
    left, right = (np.argwhere(values == value)[:, 0].mean() for value in (48, 47))
    assert left < 20 < right


def test_unknown_phantoms_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        DatalistError, match="there are phantoms of bids, brats2018, folder, hvsmr, malc, msd in the lay"
    ):
        write_volume_phantoms("kits", tmp_path)
    with pytest.raises(DatalistError, match="in the layouts released, original, not of 'malc' in 'mine'"):
        write_volume_phantoms("malc", tmp_path, layout="mine")
    with pytest.raises(DatalistError, match="the original project has no msd"):
        write_volume_phantoms("msd", tmp_path, layout="original")
    for options in ({"count": 1}, {"size": 10}, {"size": 100}):
        with pytest.raises(DatalistError, match="count must be 2 or more and size from 24 to 96"):
            write_volume_phantoms("msd", tmp_path, **options)
