from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from helpers.phantoms import write_nifti
from scipy.spatial.transform import Rotation

from bundle import __version__
from bundle.tasks.spine.discs import (
    Disc,
    DiscFileError,
    DiscPlacementError,
    draw_label_map,
    nearest_voxel,
    read_label_map,
    to_array,
    write_label_map,
    write_sidecar,
)

SHAPE = (12, 30, 40)


def oblique(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    affine = np.eye(4)
    affine[:3, :3] = Rotation.random(random_state=seed).as_matrix() @ np.diag([4.0, 0.8, 1.1])
    affine[:3, 3] = rng.normal(0, 50, 3)
    return affine


def save(path: Path, voxels: np.ndarray, affine: np.ndarray | None = None, **codes: Any) -> Path:
    image = nib.Nifti1Image(voxels, oblique() if affine is None else affine)
    image.set_sform(image.affine, code=codes.get("sform", 1))
    image.set_qform(image.affine, code=codes.get("qform", 0))
    nib.save(image, path)
    return path


def labels_at(places: dict[tuple[int, int, int], float], dtype: str = "float32") -> np.ndarray:
    voxels = np.zeros(SHAPE, dtype)
    for place, value in places.items():
        voxels[place] = value
    return voxels


def by_loop(voxels: np.ndarray, affine: np.ndarray) -> dict[int, np.ndarray]:
    """World positions of all non-zero voxels, one by one."""
    found = {}
    for place in np.ndindex(*voxels.shape):
        if voxels[place]:
            found[round(float(voxels[place]))] = (affine @ np.array([*place, 1.0]))[:3]
    return found


@pytest.mark.parametrize("seed", range(3))
def test_every_voxel_becomes_a_point_in_the_world_of_the_label_map(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    places = {tuple(rng.integers(0, SHAPE)): float(value) for value in rng.permutation(np.arange(1, 26))}
    voxels = labels_at(places, "int16")
    discs = read_label_map(save(tmp_path / "l.nii.gz", voxels, oblique(seed)))
    expected = by_loop(voxels, oblique(seed))
    assert [disc.value for disc in discs] == sorted(expected)
    for disc in discs:
        np.testing.assert_allclose(disc.position, expected[disc.value], atol=1e-4)


def test_values_with_rounding_errors_are_rounded_not_truncated(tmp_path: Path) -> None:
    voxels = labels_at({(1, 2, 3): 3.0000457763671875, (4, 5, 6): 5.999999998603016, (1, 1, 1): 0.004}, "float64")
    assert [disc.value for disc in read_label_map(save(tmp_path / "l.nii", voxels))] == [3, 6]


def test_landmarks_that_are_not_discs_are_skipped_and_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    voxels = labels_at({(1, 2, 3): 3, (1, 2, 9): 49, (1, 2, 7): 50, (4, 5, 6): 60, (4, 4, 4): 31}, "uint8")
    with caplog.at_level(logging.INFO):
        discs = read_label_map(save(tmp_path / "l.nii.gz", voxels))
    assert [disc.value for disc in discs] == [3]
    (message,) = caplog.messages
    assert "31 (unknown), 49 (pontomedullary groove), 50 (pontomedullary junction), 60 (conus medullaris)" in message


def test_of_many_unknown_values_only_some_are_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    voxels = labels_at({(0, 1, column): 100 + column for column in range(9)} | {(1, 2, 3): 5}, "int16")
    with caplog.at_level(logging.INFO):
        assert len(read_label_map(save(tmp_path / "l.nii.gz", voxels))) == 1
    assert caplog.messages[0].endswith("107 (unknown), ....")


def test_totalspineseg_values_are_read_on_request(tmp_path: Path) -> None:
    file = save(tmp_path / "l.nii.gz", labels_at({(1, 2, 3): 63, (1, 2, 9): 100, (0, 0, 0): 45}, "uint8"))
    assert [disc.value for disc in read_label_map(file, numbering="totalspineseg")] == [3, 25]
    with pytest.raises(ValueError, match="numbering must be one of"):
        read_label_map(file, numbering="tss")


def test_a_verse_map_shows_by_the_disc_below_l6_which_one_is_above_it(tmp_path: Path) -> None:
    file = save(tmp_path / "l.nii.gz", labels_at({(1, 2, 3): 102, (1, 2, 9): 124}, "uint8"))
    assert [disc.value for disc in read_label_map(file, numbering="verse")] == [3, 25]
    sixth = save(tmp_path / "s.nii.gz", labels_at({(1, 2, 3): 124, (1, 2, 9): 125}, "uint8"))
    assert [disc.name for disc in read_label_map(sixth, numbering="verse")] == ["L5-L6", "L6-S1"]


def test_a_value_in_several_voxels_gives_their_centroid_and_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    voxels = labels_at({(1, 2, 3): 3, (1, 2, 4): 3, (1, 2, 5): 3, (7, 7, 7): 4})
    with caplog.at_level(logging.WARNING):
        discs = read_label_map(save(tmp_path / "l.nii.gz", voxels))
    np.testing.assert_allclose(discs[0].position, (oblique() @ [1, 2, 4, 1])[:3], atol=1e-4)
    assert "disc 3 is in 3 voxels over 2.2 mm; their mean is taken" in caplog.text


def test_a_value_at_two_places_that_are_far_apart_is_refused(tmp_path: Path) -> None:
    voxels = labels_at({(1, 2, 3): 3, (1, 2, 4): 3, (1, 2, 15): 3}, "uint8")
    with pytest.raises(DiscFileError, match=r"holds the value of disc 3 at 2 places up to 12\.7 mm apart; remove"):
        read_label_map(save(tmp_path / "l.nii.gz", voxels))


def test_a_map_without_points_is_valid(tmp_path: Path) -> None:
    assert read_label_map(save(tmp_path / "l.nii.gz", np.zeros((*SHAPE, 1), np.uint8))) == []


@pytest.mark.parametrize(
    ("voxels", "codes", "message"),
    [
        (
            labels_at({(1, 2, 3): 3.4, (2, 2, 2): 3}),
            {},
            "has 1 voxels with values that are not integers, such as 3.4; use",
        ),
        (labels_at({(1, 2, 3): np.nan}), {}, "has 1 voxels with values that are not integers, such as nan"),
        (labels_at({(1, 2, 3): np.inf}), {}, "has 1 voxels with values that are not integers, such as inf"),
        (
            np.full(SHAPE, 3, np.uint8),
            {},
            "holds the value of disc 3 in 14400 voxels, which is a mask, not a point; derive points",
        ),
        (np.zeros((4, 4), np.uint8), {}, r"has the shape \(4, 4\), a volume is expected"),
        (np.zeros((4, 4, 4, 2), np.uint8), {}, r"has the shape \(4, 4, 4, 2\), a volume is expected"),
        (np.zeros(SHAPE, np.uint8), {"sform": 0}, "has neither sform nor qform, so its position is unknown; copy"),
    ],
)
def test_a_map_that_does_not_hold_points_is_refused(
    tmp_path: Path, voxels: np.ndarray, codes: dict[str, int], message: str
) -> None:
    file = save(tmp_path / "l.nii.gz", voxels, **codes)
    with pytest.raises(DiscFileError, match=f"l.nii.gz: {message}"):
        read_label_map(file)


def test_a_map_without_a_clear_place_is_refused(tmp_path: Path) -> None:
    voxels = labels_at({(1, 2, 3): 3}, "uint8")
    conflict = write_nifti(tmp_path / "conflict.nii.gz", voxels, qform=np.diag([1, 1, 2, 1]))
    with pytest.raises(DiscFileError, match=r"conflict\.nii\.gz: has an sform and a qform that lie up to"):
        read_label_map(conflict)
    sheared = write_nifti(
        tmp_path / "sheared.nii.gz", voxels, [[1, 0.5, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], 1, 0
    )
    with pytest.raises(DiscFileError, match=r"sheared\.nii\.gz: has a sheared affine"):
        read_label_map(sheared)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DiscFileError, match=r"none.nii.gz: cannot be read as NIfTI"):
        read_label_map(tmp_path / "none.nii.gz")
    nib.save(nib.MGHImage(np.zeros(SHAPE, np.float32), np.eye(4)), tmp_path / "a.mgz")
    with pytest.raises(DiscFileError, match=r"a.mgz: is not a single-file NIfTI; convert it"):
        read_label_map(tmp_path / "a.mgz")
    complete = save(tmp_path / "l.nii", labels_at({(1, 2, 3): 3}))
    complete.write_bytes(complete.read_bytes()[:1000])
    with pytest.raises(DiscFileError, match=r"l.nii: has voxels that cannot be read"):
        read_label_map(complete)


@pytest.mark.parametrize("numbering", ["sct", "totalspineseg"])
@pytest.mark.parametrize("codes", ["LAS", "PIR", "RSA"])
def test_a_written_map_has_the_grid_orientation_and_codes_of_its_image(
    tmp_path: Path, codes: str, numbering: str
) -> None:
    affine = nib.orientations.inv_ornt_aff(nib.orientations.axcodes2ornt(codes), SHAPE) @ np.diag([1.5, 0.7, 2, 1])
    image = nib.Nifti1Image(np.zeros(SHAPE, np.float32), affine)
    image.set_sform(affine, code=2)
    image.set_qform(affine, code=1)
    image.header.set_xyzt_units("mm")
    image.header.set_slope_inter(2.0, 5.0)
    nib.save(image, tmp_path / "image.nii.gz")
    places = {3: (2, 3, 4), 8: (11, 29, 39), 25: (0, 0, 0)}
    discs = [Disc(value, tuple((affine @ [*place, 1])[:3])) for value, place in places.items()]
    drawn = write_label_map(discs, tmp_path / "labels.nii.gz", tmp_path / "image.nii.gz", numbering=numbering)
    written: Any = nib.load(tmp_path / "labels.nii.gz")
    source: Any = nib.load(tmp_path / "image.nii.gz")
    stored = {3: 63, 8: 71, 25: 100} if numbering == "totalspineseg" else {3: 3, 8: 8, 25: 25}
    np.testing.assert_array_equal(np.asanyarray(written.dataobj), drawn)
    assert {value: tuple(np.argwhere(drawn == stored[value])[0]) for value in places} == places
    assert np.count_nonzero(drawn) == 3
    assert (written.get_data_dtype(), written.shape) == (np.uint8, SHAPE)
    np.testing.assert_array_equal(written.affine, source.affine)
    for field in ("sform_code", "qform_code", "quatern_b", "quatern_c", "quatern_d", "pixdim", "xyzt_units"):
        np.testing.assert_array_equal(written.header[field], source.header[field])
    np.testing.assert_allclose(
        to_array(read_label_map(tmp_path / "labels.nii.gz", numbering=numbering)), to_array(discs), atol=1e-4
    )


def test_the_label_of_another_grid_is_drawn_at_its_world_position(tmp_path: Path) -> None:
    fine, coarse = np.diag([0.8, 0.8, 0.8, 1.0]), np.diag([1.0, 1.0, 1.0, 1.0])
    discs = read_label_map(save(tmp_path / "l.nii.gz", labels_at({(10, 20, 30): 5}, "uint8"), fine))
    assert np.argwhere(draw_label_map(discs, SHAPE, coarse)).tolist() == [[8, 16, 24]]


def test_a_point_sets_its_nearest_voxel_even_at_the_border() -> None:
    affine = np.diag([2.0, 1.0, 1.0, 1.0])
    assert nearest_voxel(Disc(3, (2.9, 1.6, -0.4)), affine) == (1, 2, 0)
    drawn = draw_label_map([Disc(3, (-2.4, 30.4, 3.0)), Disc(4, (0.0, 1.0, 1.0))], SHAPE, affine)
    assert {int(drawn[tuple(place)]): place.tolist() for place in np.argwhere(drawn)} == {3: [0, 29, 3], 4: [0, 1, 1]}


def test_a_point_far_outside_has_no_voxel() -> None:
    with pytest.raises(
        DiscPlacementError, match=r"C2-C3 at \[0.0, 31.6, 3.0\] mm .* is outside the grid: .* \[0, 32, 3\]"
    ):
        draw_label_map([Disc(3, (0.0, 31.6, 3.0))], SHAPE, np.eye(4))


def test_two_discs_never_share_a_voxel() -> None:
    with pytest.raises(DiscPlacementError, match=r"C2-C3 and C3-C4 share the voxel \[1, 2, 3\]"):
        draw_label_map([Disc(3, (1.0, 2.0, 3.0)), Disc(4, (1.2, 2.0, 3.4))], SHAPE, np.eye(4))


def test_a_map_is_written_as_nifti_only_and_by_its_numbering_only(tmp_path: Path) -> None:
    image = save(tmp_path / "image.nii.gz", np.zeros(SHAPE, np.uint8), np.eye(4))
    with pytest.raises(ValueError, match=r"written as .nii.gz or .nii, got 'a.nrrd'"):
        write_label_map([], tmp_path / "a.nrrd", image)
    with pytest.raises(ValueError, match=r"no value for C1-C2"):
        write_label_map([Disc(2, (1.0, 1.0, 1.0))], tmp_path / "a.nii.gz", image, numbering="totalspineseg")
    assert not list(tmp_path.glob("*a.nii.gz"))


def test_the_sidecar_states_space_and_programs(tmp_path: Path) -> None:
    sidecar = write_sidecar(tmp_path / "sub-01_T2w_label-discs_dlabel.nii.gz")
    assert sidecar == tmp_path / "sub-01_T2w_label-discs_dlabel.json"
    assert json.loads(sidecar.read_text()) == {
        "SpatialReference": "orig",
        "Numbering": "sct",
        "GeneratedBy": [{"Name": "keyslice", "Version": __version__}],
    }


def test_previous_programs_are_named_first(tmp_path: Path) -> None:
    sidecar = write_sidecar(tmp_path / "a.nii", generated_by=[{"Name": "dcm2niix", "Version": "1.0"}])
    names = [program["Name"] for program in json.loads(sidecar.read_text())["GeneratedBy"]]
    assert names == ["dcm2niix", "keyslice"]


def test_a_map_in_another_numbering_is_read_by_its_sidecar(tmp_path: Path) -> None:
    image = save(tmp_path / "image.nii.gz", np.zeros(SHAPE, np.uint8), np.eye(4))
    discs = [Disc(3, (1.0, 2.0, 3.0)), Disc(25, (1.0, 2.0, 20.0))]
    file = tmp_path / "labels.nii.gz"
    write_label_map(discs, file, image, numbering="totalspineseg")
    assert json.loads((tmp_path / "labels.json").read_text())["Numbering"] == "totalspineseg"
    assert [disc.value for disc in read_label_map(file)] == [3, 25]
    write_label_map(discs, file, image)
    assert [disc.value for disc in read_label_map(file)] == [3, 25]
    (tmp_path / "labels.json").write_text('{"Numbering": "other"}')
    with pytest.raises(DiscFileError, match=r"labels.json: has the numbering 'other'; use one of sct, totalspineseg"):
        read_label_map(file)


@pytest.mark.parametrize("content", ['{"discs": []}', "[1]", "no JSON"])
def test_another_file_of_the_name_of_the_sidecar_is_no_sidecar_and_is_kept(content: str, tmp_path: Path) -> None:
    image = save(tmp_path / "image.nii.gz", np.zeros(SHAPE, np.uint8), np.eye(4))
    (tmp_path / "labels.json").write_text(content)
    disc = Disc(3, (1.0, 2.0, 3.0))
    write_label_map([disc], tmp_path / "labels.nii.gz", image)
    assert [disc.value for disc in read_label_map(tmp_path / "labels.nii.gz")] == [3]
    with pytest.raises(DiscFileError, match=r"labels.json: is not a sidecar and is kept"):
        write_label_map([disc], tmp_path / "labels.nii.gz", image, numbering="totalspineseg")
    assert (tmp_path / "labels.json").read_text() == content


def test_a_map_in_which_no_value_is_a_disc_is_an_error_with_a_remedy_that_works(tmp_path: Path) -> None:
    file = save(tmp_path / "l.nii.gz", labels_at({(1, 2, 3): 63, (1, 2, 9): 64}, "uint8"))
    with pytest.raises(
        DiscFileError, match=r"holds the values 63, 64, none of which is a disc .* numbering sct"
    ) as caught:
        read_label_map(file)
    assert caught.value.remedy.startswith('if they are numbers of totalspineseg, write {"Numbering": "totalspineseg"}')
    (tmp_path / "l.json").write_text('{"Numbering": "totalspineseg"}')
    assert [disc.value for disc in read_label_map(file)] == [3, 4]
    write_label_map(read_label_map(file), file, file, numbering="sct")
    assert [disc.value for disc in read_label_map(file)] == [3, 4]
    many = save(tmp_path / "m.nii.gz", labels_at({(1, 2, place): 200 + place for place in range(9)}, "uint8"))
    with pytest.raises(
        DiscFileError, match=r"holds the values 200, .*, 207, \.\.\., none of .*; use a map with one voxel"
    ):
        read_label_map(many)


@pytest.mark.real_data
def test_real_label_maps_are_read(shared_data: Path) -> None:
    folder = shared_data / "spine"
    discs = read_label_map(folder / "template_t2_whole_spine" / "PAM50_small_label_discPosterior.nii.gz")
    assert [disc.value for disc in discs] == list(range(2, 22))
    assert (np.diff(to_array(discs)[:, 3]) < 0).all()
    assert [disc.value for disc in read_label_map(folder / "cervical_t2_crop" / "labels.nii.gz")] == [3, 5]


@pytest.mark.parametrize(("unit", "size"), [("meter", 1e-3), ("micron", 1e3)])
def test_points_are_in_mm_whatever_the_unit_of_the_file(unit: str, size: float, tmp_path: Path) -> None:
    voxels = labels_at({(3, 4, 5): 3, (6, 20, 30): 4}, "uint8")
    in_mm = save(tmp_path / "a.nii.gz", voxels)
    other = nib.Nifti1Image(voxels, np.diag([size, size, size, 1]) @ oblique())
    other.header.set_xyzt_units(unit)
    nib.save(other, tmp_path / "b.nii.gz")
    discs = read_label_map(tmp_path / "b.nii.gz")
    np.testing.assert_allclose(to_array(discs), to_array(read_label_map(in_mm)), atol=1e-2)
    np.testing.assert_array_equal(write_label_map(discs, tmp_path / "c.nii.gz", tmp_path / "b.nii.gz"), voxels)
