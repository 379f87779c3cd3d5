"""Conversion of files of discs."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from helpers.phantoms import write_nifti

from bundle.tasks.spine.discs import Disc, DiscFileError, read_discs, write_disc_csv, write_disc_json
from bundle.tasks.spine.discs.convert_discs import convert_discs
from bundle.tasks.spine.discs.levels import Numbering

DISCS = [
    Disc(20, (1.0, 2.0, 30.0)),
    Disc(24, (1.0, 3.0, 20.0)),
    Disc(245, (1.0, 3.0, 10.0)),
    Disc(255, (1.0, 2.0, 1.0)),
]


@pytest.fixture
def corrected(tmp_path: Path) -> Path:
    write_nifti(tmp_path / "image.nii.gz", np.zeros((4, 6, 40), np.int16), np.eye(4))
    write_disc_csv(DISCS, tmp_path / "a.csv")
    return tmp_path / "a.csv"


@pytest.mark.parametrize("ending", [".csv", ".json", ".mrk.json"])
def test_discs_stay_the_same_in_every_format(corrected: Path, ending: str, tmp_path: Path) -> None:
    for image in (None, tmp_path / "image.nii.gz"):
        assert convert_discs(corrected, tmp_path / f"b{ending}", image=image) == []
        assert read_discs(tmp_path / f"b{ending}") == DISCS


@pytest.mark.parametrize(("numbering", "left_out"), [("verse", []), ("sct", ["L5-L6"])])
def test_a_label_map_has_the_discs_that_its_numbering_has_values_for(
    corrected: Path, numbering: Numbering, left_out: list[str], tmp_path: Path
) -> None:
    target, image = tmp_path / "b.nii.gz", tmp_path / "image.nii.gz"
    missing = convert_discs(corrected, target, image=image, numbering=numbering)
    assert [disc.name for disc in missing] == left_out
    assert [disc.position for disc in read_discs(target)] == [disc.position for disc in DISCS if disc not in missing]
    assert (tmp_path / "b.json").is_file()


def test_a_csv_has_the_voxels_of_the_image(corrected: Path, tmp_path: Path) -> None:
    convert_discs(corrected, tmp_path / "b.csv", image=tmp_path / "image.nii.gz")
    with (tmp_path / "b.csv").open() as stream:
        assert [row["k"] for row in csv.DictReader(stream)] == ["30", "20", "10", "1"]


@pytest.mark.parametrize(
    ("target", "image", "message"),
    [
        ("b.nii.gz", None, "b.nii.gz: is a label map, which has the grid of an image; name it with --image"),
        ("b_poi.json", None, "b_poi.json: has points in voxels of an image; name it with --image"),
        ("b.txt", None, "b.txt: is no format of discs"),
        ("b.csv", "a.csv", "a.csv: cannot be read as NIfTI"),
        ("b.csv", "none.nii.gz", "none.nii.gz: cannot be read as NIfTI"),
    ],
)
def test_what_cannot_be_written_is_named(
    corrected: Path, target: str, image: str | None, message: str, tmp_path: Path
) -> None:
    with pytest.raises(DiscFileError, match=message):
        convert_discs(corrected, tmp_path / target, image=None if image is None else tmp_path / image)
    assert not (tmp_path / target).exists()


def test_the_record_of_a_case_is_not_replaced(corrected: Path, tmp_path: Path) -> None:
    (tmp_path / "b.json").write_text('{"case": "b", "discs": []}')
    with pytest.raises(DiscFileError, match=r"b\.json: is the record of a case, which is kept; write another file"):
        convert_discs(corrected, tmp_path / "b.json")


@pytest.mark.parametrize("target", ["image.nii.gz", "link.nii.gz", "b.nii.gz"])
def test_neither_an_image_nor_the_record_of_a_case_is_replaced_by_a_label_map(
    corrected: Path, target: str, tmp_path: Path
) -> None:
    image = tmp_path / "image.nii.gz"
    (tmp_path / "link.nii.gz").symlink_to(image)
    (tmp_path / "b.nii.gz").write_bytes(image.read_bytes())
    (tmp_path / "b.json").write_text('{"case": "b", "discs": []}')
    before = image.read_bytes()
    with pytest.raises(DiscFileError, match=r"is the image, which is kept|b\.json: is not a sidecar and is kept"):
        convert_discs(corrected, tmp_path / target, image=image)
    assert (tmp_path / target).read_bytes() == before
    assert not (tmp_path / "image.json").exists()


def test_an_image_that_is_no_volume_or_has_no_clear_place_is_refused(corrected: Path, tmp_path: Path) -> None:
    flat = write_nifti(tmp_path / "flat.nii.gz", np.zeros((4, 6), np.uint8))
    placeless = write_nifti(tmp_path / "placeless.nii.gz", np.zeros((4, 6, 40), np.uint8), None, 0, 0)
    for image, message in (
        (flat, r"flat.nii.gz: has the shape \(4, 6\), a volume is expected"),
        (placeless, "neither"),
    ):
        for target in ("b.nii.gz", "b.csv"):
            with pytest.raises(DiscFileError, match=message):
                convert_discs(corrected, tmp_path / target, image=image)
            assert not (tmp_path / target).exists()


@pytest.mark.parametrize("target", ["b_poi.json", "b_ctd.json"])
def test_points_of_interest_are_written_and_those_of_others_are_kept(
    corrected: Path, target: str, tmp_path: Path
) -> None:
    image, file = tmp_path / "image.nii.gz", tmp_path / target
    write_disc_csv([Disc(1, (1.0, 2.0, 35.0)), *DISCS], corrected)
    for _ in range(2):
        assert [disc.name for disc in convert_discs(corrected, file, image=image)] == ["C1-top"]
        assert read_discs(file) == DISCS
    assert json.loads(file.read_text())[0]["shape"] == [4, 6, 40]
    for content in ('[{"format": "POI"}, {"L5": {"50": [1, 2, 3]}}]', "[]", "[3]", "{}", "["):
        file.write_text(content)
        with pytest.raises(DiscFileError, match="was not written by this bundle and is kept; write another file"):
            convert_discs(corrected, file, image=image)
        assert file.read_text() == content


def test_an_extrapolated_disc_is_flagged_in_json_and_left_out_elsewhere(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_disc_json(DISCS, tmp_path / "a.json", extrapolated=[255])
    convert_discs(tmp_path / "a.json", tmp_path / "b.json")
    assert [disc.get("extrapolated") for disc in json.loads((tmp_path / "b.json").read_text())["discs"]][2:] == [
        None,
        True,
    ]
    assert caplog.text == ""
    convert_discs(tmp_path / "a.json", tmp_path / "b.csv")
    assert read_discs(tmp_path / "b.csv") == DISCS[:-1]
    assert "a.json: L6-S1 is extrapolated and left out" in caplog.text


@pytest.mark.parametrize("ending", [".csv", ".json", ".nii.gz"])
@pytest.mark.parametrize(
    ("disc", "message"),
    [
        (
            Disc(19, (1.0, 2.0, 300.0)),
            r"a\.csv: T11-T12 lie outside of the image \S*image\.nii\.gz; correct the points",
        ),
        (Disc(23, (1.0, 2.0, 35.0)), r"a\.csv: has L3-L4 above T12-L1; correct the levels or the points"),
    ],
)
def test_a_disc_outside_of_the_image_or_out_of_order_is_named(
    corrected: Path, disc: Disc, message: str, ending: str, tmp_path: Path
) -> None:
    write_disc_csv([disc, *DISCS], corrected)
    with pytest.raises(DiscFileError, match=message):
        convert_discs(corrected, tmp_path / f"b{ending}", image=tmp_path / "image.nii.gz")
    assert not (tmp_path / f"b{ending}").exists()
