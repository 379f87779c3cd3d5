"""Images joined with the points of their discs."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest
from helpers.phantoms import write_nifti

from bundle.cli.main import main
from bundle.data.datalist_file import DatalistError
from bundle.tasks.spine.corrected_points import prepare_spine_points
from bundle.tasks.spine.discs import (
    Disc,
    write_disc_csv,
    write_disc_json,
    write_disc_pois,
    write_label_map,
    write_markups,
)

DISCS = [Disc(20, (1.0, 2.0, 30.0)), Disc(21, (1.0, 3.0, 20.0))]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of three images; those of one subject stay together."""
    (tmp_path / "images").mkdir()
    for name in ("sub-01_T1w", "sub-01_T2w", "other"):
        voxels = np.arange(960, dtype=np.int16).reshape(4, 6, 40)
        write_nifti(tmp_path / "images" / f"{name}.nii.gz", voxels, np.eye(4))
    return tmp_path


def prepare(folder: Path, **options) -> list[dict]:
    labels = folder / "out"
    content = prepare_spine_points(folder / "images", folder / "new" / "dataset.json", labels=labels, **options)
    assert json.loads((folder / "new" / "dataset.json").read_text()) == json.loads(json.dumps(content))
    return content["training"]


def write_all(folder: Path, discs: list[Disc] = DISCS) -> Path:
    """Write the discs of every image as CSV."""
    out = folder / "out"
    out.mkdir()
    for image in (folder / "images").iterdir():
        write_disc_csv(discs, out / f"{image.name.removesuffix('.nii.gz')}.csv", affine=np.eye(4))
    return out


def test_images_and_their_discs_become_cases_and_a_subject_stays_in_one_fold(folder: Path) -> None:
    out = write_all(folder)
    cases = prepare(folder, complete=True, folds=2)
    assert [Path(case["image"]).name for case in cases] == ["other.nii.gz", "sub-01_T1w.nii.gz", "sub-01_T2w.nii.gz"]
    assert cases[0]["label"] == str((out / "other.csv").resolve())
    assert [case["patient"] for case in cases] == ["other", "sub-01", "sub-01"]
    assert cases[1]["fold"] == cases[2]["fold"] != cases[0]["fold"]
    assert all(case["complete"] for case in cases)


@pytest.mark.parametrize("points_format", ["mrk.json", "label_map", "poi"])
def test_every_format_is_found_by_its_name(points_format: str, folder: Path) -> None:
    out = folder / "out"
    out.mkdir()
    write_markups(DISCS, out / "other.mrk.json")
    write_label_map(DISCS, out / "other_label-discs_dlabel.nii.gz", folder / "images" / "other.nii.gz")
    write_disc_pois(DISCS, out / "other_poi.json", affine=np.eye(4), shape=(4, 6, 40))
    (case,) = prepare(folder, points_format=points_format)
    assert Path(case["label"]).name.startswith("other")


def test_an_image_without_discs_is_logged_and_a_label_map_next_to_it_is_no_image(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    images = folder / "images"
    write_disc_csv(DISCS, images / "other.csv")
    write_label_map(DISCS, images / "other_label-discs_dlabel.nii.gz", images / "other.nii.gz")
    with caplog.at_level(logging.WARNING):
        content = prepare_spine_points(images, folder / "dataset.json")
    assert len(content["training"]) == 1
    named = [Path(record.message.split(": ")[0]).name for record in caplog.records]
    assert named == ["sub-01_T1w.nii.gz", "sub-01_T2w.nii.gz"]


def test_discs_that_cannot_be_used_are_skipped_by_name(folder: Path) -> None:
    out = write_all(folder)
    (out / "other.csv").write_text((out / "other.csv").read_text().replace(",1,2,30,", ",1,2,33,"))
    write_disc_csv([], out / "sub-01_T1w.csv")
    content = prepare_spine_points(folder / "images", folder / "dataset.json", labels=out)
    first, second = (case["message"] for case in content["skipped"])
    assert "line 2: T12-L1 is in voxel [1, 2, 33]" in first
    assert "holds no disc; add its points, or remove the file" in second
    assert len(content["training"]) == 1


def test_a_file_of_another_format_with_other_discs_is_logged(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    out = write_all(folder)
    write_markups([DISCS[0], Disc(21, (1.0, 3.0, 14.0))], out / "other.mrk.json")
    write_markups(DISCS, out / "sub-01_T1w.mrk.json")
    write_markups(DISCS[:1], out / "sub-01_T2w.mrk.json")
    (out / "sub-01_T2w.json").write_text("{")
    with caplog.at_level(logging.WARNING):
        assert len(prepare(folder)) == 3
    names = [Path(record.message.split(" ")[0]).name for record in caplog.records]
    assert names == ["other.mrk.json", "sub-01_T2w.mrk.json", "sub-01_T2w.json:"]


def test_without_a_usable_image_nothing_is_written(folder: Path) -> None:
    with pytest.raises(DatalistError, match="holds no csv named after an image"):
        prepare(folder)
    out = write_all(folder, [])
    with pytest.raises(DatalistError, match="holds no disc"):
        prepare(folder)
    for options in ({"folds": 1}, {"points_format": "txt"}):
        with pytest.raises(DatalistError, match="the format must be one of csv"):
            prepare_spine_points(folder / "images", folder / "dataset.json", labels=out, **options)
    assert not (folder / "new").exists()


def test_the_command_writes_a_datalist(folder: Path) -> None:
    out, target = write_all(folder), folder / "dataset.json"
    options = ["--labels", str(out), "--output", str(target), "--complete", "--folds", "2"]
    assert main(["prepare", "spine-points", str(folder / "images"), *options]) == 0
    assert len(json.loads(target.read_text())["training"]) == 3


@pytest.mark.parametrize(
    ("discs", "message"),
    [
        ([DISCS[0], Disc(21, (1.0, 3.0, 35.0))], "other.csv: has L1-L2 above T12-L1; correct the levels or the points"),
        ([*DISCS, Disc(22, (1.0, 3.0, -200.0))], "other.csv: L2-L3 lie outside of the image"),
        ([*DISCS, Disc(21, (1.0, 3.0, 10.0))], "other.csv: L1-L2 occurs 2 times, up to 10.0 mm apart"),
    ],
)
def test_impossible_discs_are_skipped_by_name(folder: Path, discs: list[Disc], message: str) -> None:
    out = write_all(folder)
    write_disc_csv(discs, out / "other.csv")
    content = prepare_spine_points(folder / "images", folder / "dataset.json", labels=out)
    (skipped,) = content["skipped"]
    assert message in skipped["message"]
    assert len(content["training"]) == 2


def test_an_extrapolated_disc_may_be_out_of_view(folder: Path) -> None:
    out = folder / "out"
    out.mkdir()
    write_disc_json([*DISCS, Disc(22, (1.0, 3.0, -20.0))], out / "other.json", extrapolated=[22])
    assert len(prepare(folder, points_format="json")) == 1
