"""Writing of the discs of a case."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from bundle.inference import CaseRecord
from bundle.tasks.spine import SaveDiscsd
from bundle.tasks.spine.discs import Disc, read_discs
from bundle.tasks.spine.discs.level_certainty import LevelCertainty

DISCS = [Disc(2, (4.0, 5.0, 30.0), 0.5), Disc(3, (4.2, 6.1, 18.0), 0.75), Disc(4, (4.0, 7.0, 6.4), None)]


@pytest.fixture
def image(tmp_path: Path) -> MetaTensor:
    """A volume upside down in its array, of 1 x 2 x 1 mm."""
    affine = np.array([[1.0, 0, 0, 0], [0, 2, 0, 0], [0, 0, -1, 35], [0, 0, 0, 1]])
    nib.save(nib.Nifti1Image(np.zeros((10, 8, 36), np.int16), affine), tmp_path / "spine.nii.gz")
    return MetaTensor(torch.zeros(1, 10, 8, 36), meta={"filename_or_obj": str(tmp_path / "spine.nii.gz")})


def saved(image: MetaTensor, folder: Path, discs: list[Disc] = DISCS, **options: str) -> dict:
    """Save discs and return the record."""
    return SaveDiscsd("discs", output_dir=folder, **options)({"discs": discs, "image": image})["record"].to_json()


def test_every_file_holds_the_same_points(image: MetaTensor, tmp_path: Path) -> None:
    saved(image, tmp_path / "out")
    for name in ("spine.json", "spine.csv", "spine.mrk.json"):
        found = read_discs(tmp_path / "out" / name)
        assert [disc.value for disc in found] == [2, 3, 4]
        np.testing.assert_allclose([disc.position for disc in found], [disc.position for disc in DISCS], atol=1e-3)
    on_map = read_discs(tmp_path / "out" / "spine_label-discs_dlabel.nii.gz")
    assert [disc.value for disc in on_map] == [2, 3, 4]
    assert all(np.abs(np.subtract(a.position, b.position)).max() <= 1.0 for a, b in zip(on_map, DISCS, strict=True))


def test_the_label_map_lies_on_the_grid_of_the_input(image: MetaTensor, tmp_path: Path) -> None:
    saved(image, tmp_path / "out")
    written, source = (nib.load(tmp_path / name) for name in ("out/spine_label-discs_dlabel.nii.gz", "spine.nii.gz"))
    assert written.shape == source.shape
    assert written.get_data_dtype() == np.uint8
    np.testing.assert_array_equal(written.affine, source.affine)
    sidecar = json.loads((tmp_path / "out" / "spine_label-discs_dlabel.json").read_text())
    assert sidecar["SpatialReference"] == "orig"


def test_the_record_lists_outputs_and_inputs(image: MetaTensor, tmp_path: Path) -> None:
    record = saved(image, tmp_path / "out")
    assert record == json.loads((tmp_path / "out" / "spine.json").read_text())
    assert record["discs"][1] == {
        "value": 3,
        "name": "C2-C3",
        "position": [4.2, 6.1, 18.0],
        "voxel": [4, 3, 17],
        "confidence": 0.75,
    }
    assert len(record["files"]) == 4
    assert record["seconds"] is None


def test_the_provenance_is_in_the_json_for_a_later_run(image: MetaTensor, tmp_path: Path) -> None:
    provenance = {"settings": "s", "input": "i"}
    case = {"discs": DISCS, "image": image, "record": CaseRecord("a", started=0.0, provenance=provenance)}
    record = SaveDiscsd("discs", output_dir=tmp_path / "out")(case)["record"].to_json()
    assert record["provenance"] == provenance
    assert record["seconds"] > 0


def test_a_disc_outside_the_image_is_skipped_with_a_remark(image: MetaTensor, tmp_path: Path) -> None:
    record = saved(image, tmp_path / "out", [*DISCS, Disc(5, (4.0, 7.0, -6.0))])
    assert [disc["value"] for disc in record["discs"]] == [2, 3, 4]
    assert record["remarks"] == ["C4-C5 was found outside the image and skipped"]


def test_no_point_outside_the_image_is_written(image: MetaTensor, tmp_path: Path) -> None:
    """Its voxel would be -1 below the last one, which has the index 35 and the height 0."""
    record = saved(image, tmp_path / "out", [*DISCS, Disc(5, (4.0, 7.0, -0.7))])
    assert [disc["value"] for disc in record["discs"]] == [2, 3, 4]
    assert record["remarks"] == ["C4-C5 was found outside the image and skipped"]


@pytest.mark.parametrize(("right", "slice_"), [(-0.8, 0), (9.9, 9)])
def test_a_point_next_to_the_outermost_slice_is_moved_into_it(
    right: float, slice_: int, image: MetaTensor, tmp_path: Path
) -> None:
    record = saved(image, tmp_path / "out", [Disc(5, (right, 7.0, 10.0))])
    assert record["discs"][0]["voxel"][0] == slice_
    assert record["discs"][0]["position"] == [slice_, 7.0, 10.0]


def test_the_certainty_of_the_numbering_is_in_the_json(image: MetaTensor, tmp_path: Path) -> None:
    certainty = LevelCertainty(0.75, ("no end of the spine in view", "another numbering"))
    case = {"discs": DISCS, "image": image, "numbering": certainty}
    record = SaveDiscsd("discs", output_dir=tmp_path / "out")(case)["record"].to_json()
    assert (record["numbering"], record["numbering_probability"]) == ("uncertain", 0.75)
    assert record["numbering_reasons"] == ["no end of the spine in view", "another numbering"]
    assert record["remarks"] == ["numbering uncertain: no end of the spine in view; another numbering"]


def test_a_certain_numbering_has_no_remark(image: MetaTensor, tmp_path: Path) -> None:
    case = {"discs": DISCS, "image": image, "numbering": LevelCertainty(0.99)}
    record = SaveDiscsd("discs", output_dir=tmp_path / "out")(case)["record"].to_json()
    assert (record["numbering"], record["remarks"]) == ("certain", [])


def test_discs_that_the_template_of_the_spinal_cord_toolbox_lacks_are_not_in_its_label_map(
    image: MetaTensor, tmp_path: Path
) -> None:
    place = [disc.position for disc in DISCS]
    discs = [Disc(21, place[0]), Disc(22, place[1])]
    record = saved(image, tmp_path / "out", discs, numbering="sct_template")
    values = np.unique(np.asarray(nib.load(tmp_path / "out" / "spine_label-discs_dlabel.nii.gz").dataobj))
    assert values.tolist() == [0, 21]
    assert [disc["value"] for disc in record["discs"]] == [21, 22]
    assert record["remarks"] == ["not in the label map: L2-L3 (sct_template has no value)"]


def test_no_disc_is_a_result_too(image: MetaTensor, tmp_path: Path) -> None:
    record = saved(image, tmp_path / "out", [])
    assert (record["discs"], record["remarks"]) == ([], ["no disc was found"])
    assert not np.asarray(nib.load(tmp_path / "out" / "spine_label-discs_dlabel.nii.gz").dataobj).any()


def test_the_label_map_may_have_the_numbers_of_totalspineseg(image: MetaTensor, tmp_path: Path) -> None:
    record = saved(image, tmp_path / "out", numbering="totalspineseg")
    values = np.unique(np.asarray(nib.load(tmp_path / "out" / "spine_label-discs_dlabel.nii.gz").dataobj))
    assert values.tolist() == [0, 63, 64]
    assert [disc["value"] for disc in record["discs"]] == [2, 3, 4]
    assert record["remarks"] == ["not in the label map: C1-C2 (totalspineseg has no value)"]
    assert [disc.value for disc in read_discs(tmp_path / "out" / "spine_label-discs_dlabel.nii.gz")] == [3, 4]


@pytest.mark.parametrize("name", ["numbering", "coordinate_system", "output_format"])
def test_unknown_options_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"{name} must be one of .*, got 'other'"):
        SaveDiscsd("discs", output_dir=tmp_path, **{name: "other"})


def test_points_of_interest_of_tptbox_are_written_on_request(image: MetaTensor, tmp_path: Path) -> None:
    record = saved(image, tmp_path / "out", save_pois="true")
    assert "spine_poi.json" in record["files"]
    found = read_discs(tmp_path / "out" / "spine_poi.json")
    np.testing.assert_allclose([disc.position for disc in found], [disc.position for disc in DISCS], atol=1e-3)
