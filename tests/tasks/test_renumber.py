"""Renumbering of files of discs."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from helpers.phantoms import write_nifti

from bundle.tasks.spine.discs import (
    Disc,
    DiscFileError,
    read_discs,
    write_disc_csv,
    write_disc_json,
    write_disc_pois,
    write_label_map,
    write_markups,
    write_sidecar,
)
from bundle.tasks.spine.discs.renumber import renumber_discs

DISCS = [Disc(20, (1.0, 2.0, 30.0), 0.5), Disc(21, (1.0, 3.0, 20.0), 0.75), Disc(22, (1.0, 3.0, 10.0), None)]
ENDINGS = (".csv", ".json", ".mrk.json", ".nii.gz")


def write(folder: Path, ending: str, **options: str) -> Path:
    folder.mkdir(exist_ok=True)
    write_nifti(folder / "image.nii.gz", np.zeros((4, 6, 40), np.int16), np.eye(4))
    file = folder / f"discs{ending}"
    if ending == ".nii.gz":
        write_label_map(DISCS, file, folder / "image.nii.gz", **options)
    else:
        {".csv": write_disc_csv, ".json": write_disc_json, ".mrk.json": write_markups}[ending](DISCS, file, **options)
    return file


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_discs_of_a_range_get_other_numbers_and_stay_in_place(ending: str, tmp_path: Path) -> None:
    file = write(tmp_path, ending)
    assert renumber_discs(file, file, by=1, first=21) == {20: 20, 21: 22, 22: 23}
    found = read_discs(file)
    assert [disc.value for disc in found] == [20, 22, 23]
    assert [disc.position for disc in found] == [disc.position for disc in DISCS]
    if ending != ".nii.gz":
        assert [disc.confidence for disc in found] == [0.5, 0.75, None]


@pytest.mark.parametrize("ending", ENDINGS)
def test_another_file_may_be_written(ending: str, tmp_path: Path) -> None:
    file, target = write(tmp_path, ending), tmp_path / f"new{ending}"
    renumber_discs(file, target, by=-1, last=21)
    assert [disc.value for disc in read_discs(file)] == [20, 21, 22]
    assert [disc.value for disc in read_discs(target)] == [19, 20, 22]


def test_the_numbering_of_a_label_map_and_of_a_csv_is_kept(tmp_path: Path) -> None:
    file = write(tmp_path, ".nii.gz", numbering="totalspineseg")
    renumber_discs(file, tmp_path / "new.nii.gz", by=-1)
    values = np.unique(np.asarray(nib.load(tmp_path / "new.nii.gz").dataobj))
    assert values.tolist() == [0, 82, 91, 92]
    assert [disc.value for disc in read_discs(tmp_path / "new.nii.gz")] == [19, 20, 21]
    table = write(tmp_path, ".csv", numbering="totalspineseg")
    renumber_discs(table, table, by=-1)
    assert [line.split(",")[0] for line in table.read_text().splitlines()[1:]] == ["82", "91", "92"]


def test_values_that_are_no_discs_are_kept_in_a_label_map(tmp_path: Path) -> None:
    voxels = np.zeros((4, 6, 40), np.uint8)
    voxels[1, 2, 30], voxels[1, 2, 5] = 20, 60
    write_nifti(tmp_path / "a.nii.gz", voxels, np.eye(4))
    renumber_discs(tmp_path / "a.nii.gz", tmp_path / "a.nii.gz", by=1)
    assert np.unique(np.asarray(nib.load(tmp_path / "a.nii.gz").dataobj)).tolist() == [0, 21, 60]


def test_a_csv_without_names_or_values_is_renumbered(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("level_value,level_name,R_mm,A_mm,S_mm\n20,,1,2,3\n,L1-L2,1,2,1\n")
    renumber_discs(tmp_path / "a.csv", tmp_path / "a.csv", by=1)
    lines = (tmp_path / "a.csv").read_text().splitlines()[1:]
    assert lines == ["21,,1,2,3", ",L2-L3,1,2,1"]


def test_other_content_of_a_json_stays_and_points_that_were_not_placed_too(tmp_path: Path) -> None:
    entry = {"value": 20, "position": [1, 2, 3], "extrapolated": True}
    content = {"frame": "RAS", "unit": "mm", "case": "a", "discs": [entry]}
    (tmp_path / "a.json").write_text(json.dumps(content))
    renumber_discs(tmp_path / "a.json", tmp_path / "a.json", by=1)
    assert json.loads((tmp_path / "a.json").read_text()) == {**content, "discs": [{**entry, "value": 21}]}
    file = write(tmp_path, ".mrk.json")
    markups = json.loads(file.read_text())
    markups["markups"][0]["controlPoints"].append(
        {"label": "F-1", "position": [0, 0, 0], "positionStatus": "undefined"}
    )
    file.write_text(json.dumps(markups))
    renumber_discs(file, file, by=1)
    points = json.loads(file.read_text())["markups"][0]["controlPoints"]
    assert [point["label"] for point in points] == ["L1-L2", "L2-L3", "L3-L4", "F-1"]
    assert points[0]["description"] == "value 21, confidence 0.5000"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"by": -1, "first": 21}, r"out of order \(L1-L2 to T12-L1, L2-L3 to L1-L2\); choose another range"),
        ({"by": 4}, "would have a disc 4 levels beyond L2-L3, which does not exist; choose another range"),
        ({"by": -20}, "would have a disc 20 levels beyond T12-L1"),
    ],
)
def test_impossible_numbers_are_refused_and_the_file_stays(options: dict, message: str, tmp_path: Path) -> None:
    file = write(tmp_path, ".csv")
    before = file.read_text()
    with pytest.raises(DiscFileError, match=message):
        renumber_discs(file, file, **options)
    assert file.read_text() == before


def test_a_number_without_a_value_in_the_numbering_is_refused(tmp_path: Path) -> None:
    file = write(tmp_path, ".csv", numbering="totalspineseg")
    renumber_discs(file, file, by=-18)
    assert file.read_text().splitlines()[1].startswith(",C1-C2,")
    labels = write(tmp_path, ".nii.gz", numbering="totalspineseg")
    with pytest.raises(DiscFileError, match="C1-C2 has no value in the numbering totalspineseg"):
        renumber_discs(labels, labels, by=-18)


def test_points_of_interest_are_refused_with_what_to_do(tmp_path: Path) -> None:
    write_disc_pois(DISCS, tmp_path / "a.json", affine=np.eye(4), shape=(4, 6, 40))
    with pytest.raises(DiscFileError, match="renumber its CSV instead"):
        renumber_discs(tmp_path / "a.json", tmp_path / "a.json", by=1)


@pytest.mark.parametrize("ending", [".csv", ".json", ".mrk.json", ".nii.gz"])
def test_a_spine_turns_out_to_have_a_sixth_lumbar_vertebra(ending: str, tmp_path: Path) -> None:
    """The disc above the sacrum stays, those above it move down by one; and back."""
    discs = [Disc(number, (1.0, 2.0, 60.0 - 10 * place)) for place, number in enumerate((22, 23, 24, 25))]
    file = tmp_path / f"discs{ending}"
    if ending == ".nii.gz":
        write_nifti(tmp_path / "image.nii.gz", np.zeros((4, 6, 80), np.int16), np.eye(4))
        write_label_map(discs, file, tmp_path / "image.nii.gz", numbering="verse")
    else:
        {".csv": write_disc_csv, ".json": write_disc_json, ".mrk.json": write_markups}[ending](discs, file)
    renumber_discs(file, file, by=1, last=24, vertebrae={"lumbar": 6})
    assert [disc.name for disc in read_discs(file)] == ["L3-L4", "L4-L5", "L5-L6", "L6-S1"]
    assert [disc.position for disc in read_discs(file)] == [disc.position for disc in discs]
    with pytest.raises(DiscFileError, match="has L5-L6, which this spine has not"):
        renumber_discs(file, file, vertebrae={"lumbar": 5})
    assert renumber_discs(file, file, by=-1, last=24)[245] == 24
    renumber_discs(file, file, vertebrae={"lumbar": 5})
    assert [disc.value for disc in read_discs(file)] == [22, 23, 24, 25]


@pytest.mark.parametrize(
    ("ending", "name"), [(".csv", "b.nii.gz"), (".csv", "b.txt"), (".json", "b.mrk.json"), (".nii.gz", "b.csv")]
)
def test_a_file_of_another_kind_is_no_target(ending: str, name: str, tmp_path: Path) -> None:
    with pytest.raises(DiscFileError, match=rf"{name}: is not of the kind of discs{ending}; use the same ending"):
        renumber_discs(write(tmp_path, ending), tmp_path / name, by=1)
    assert not (tmp_path / name).exists()


def test_neither_an_image_nor_the_record_of_a_case_is_replaced(tmp_path: Path) -> None:
    labels, points, image, record = (
        write(tmp_path, ".nii.gz", numbering="totalspineseg"),
        write(tmp_path / "points", ".json"),
        write_nifti(tmp_path / "b.nii.gz", np.full((4, 6, 40), 700, np.int16), np.eye(4)),
        tmp_path / "c.json",
    )
    record.write_text('{"case": "c", "frame": "RAS", "unit": "mm", "discs": []}')
    files = {file: file.read_bytes() for file in (image, record)}
    for source, target, message in (
        (labels, image, r"b\.nii\.gz: is no file of discs and is kept; write another file"),
        (labels, tmp_path / "c.nii.gz", r"c\.json: is not a sidecar and is kept"),
        (points, record, r"c\.json: is the record of a case, which is kept; write another file"),
    ):
        with pytest.raises(DiscFileError, match=message):
            renumber_discs(source, target, by=1)
    assert {file: file.read_bytes() for file in files} == files
    assert not (tmp_path / "c.nii.gz").exists()


def test_a_record_next_to_a_label_map_is_not_copied_as_its_sidecar(tmp_path: Path) -> None:
    labels = write(tmp_path, ".nii.gz")
    (tmp_path / "discs.json").write_text('{"case": "discs", "discs": []}')
    renumber_discs(labels, tmp_path / "new.nii.gz", by=1)
    assert not (tmp_path / "new.json").exists()
    write_sidecar(tmp_path / "new.nii.gz", numbering="totalspineseg")
    write_label_map(DISCS, tmp_path / "new.nii.gz", tmp_path / "image.nii.gz", numbering="totalspineseg")
    renumber_discs(labels, tmp_path / "new.nii.gz", by=1)
    assert [disc.value for disc in read_discs(tmp_path / "new.nii.gz")] == [21, 22, 23]


@pytest.mark.parametrize("other", [300, -7])
def test_a_value_that_is_no_disc_is_kept_whatever_its_size(other: int, tmp_path: Path) -> None:
    voxels = np.zeros((4, 6, 40), np.int16)
    voxels[1, 2, 30], voxels[1, 2, 5] = 20, other
    write_nifti(tmp_path / "a.nii.gz", voxels, np.eye(4))
    renumber_discs(tmp_path / "a.nii.gz", tmp_path / "a.nii.gz", by=1)
    assert np.unique(np.asarray(nib.load(tmp_path / "a.nii.gz").dataobj)).tolist() == sorted([0, 21, other])


@pytest.mark.parametrize("name", ["", "L5-L6"])
def test_the_number_of_this_bundle_may_be_the_value_in_a_csv(name: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"level_value,level_name,R_mm,A_mm,S_mm\n24,L4-L5,1,2,3\n245,{name},1,2,1\n")
    renumber_discs(tmp_path / "a.csv", tmp_path / "a.csv", by=1)
    assert [disc.name for disc in read_discs(tmp_path / "a.csv")] == ["L5-L6", "L6-S1"]


def test_a_row_with_more_cells_than_columns_is_named_and_stays(tmp_path: Path) -> None:
    text = "level_value,level_name,R_mm,A_mm,S_mm\n20,,1,2,3,\n21,,1,5,2,1\n"
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(DiscFileError, match=r"a\.csv: line 3 has more cells than the first line; quote cells"):
        renumber_discs(tmp_path / "a.csv", tmp_path / "a.csv", by=1)
    assert (tmp_path / "a.csv").read_text() == text
    (tmp_path / "a.csv").write_text(text.replace(",1,5,2,1", ",1,5,2,"))
    assert renumber_discs(tmp_path / "a.csv", tmp_path / "a.csv", by=1) == {20: 21, 21: 22}
