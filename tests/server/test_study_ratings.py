"""Ratings of the images in a study folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundle.data.case_review import Rating
from bundle.data.datalist_file import DatalistError
from bundle.server.label_tasks import IMAGE, VOLUME
from bundle.server.server_errors import StudiesError
from bundle.server.study_ratings import find_studies, rate_studies


def write(path: Path, *rows: str) -> Path:
    path.write_text("".join(f"{row}\n" for row in ("case,input,rating", *rows)))
    return path


def test_the_study_folder_is_that_of_the_images(tmp_path: Path) -> None:
    assert (
        find_studies(write(tmp_path / "qc.csv", f"a,{tmp_path}/x/a.nii.gz,fail", f"b,{tmp_path}/x/b.nii,"))
        == tmp_path / "x"
    )


@pytest.mark.parametrize(
    ("rows", "message"), [(["a,,fail"], "names no images"), (["a,/x/a.nii,", "b,/y/b.nii,"], "in 2 folders")]
)
def test_other_tables_need_the_folder(rows: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(StudiesError, match=f"{message}.*; pass --studies"):
        find_studies(write(tmp_path / "qc.csv", *rows))


def test_without_a_table_the_folder_is_needed() -> None:
    with pytest.raises(StudiesError, match="--studies is missing"):
        find_studies(None)


@pytest.mark.parametrize(("kind", "ending"), [(VOLUME, ".nii.gz"), (IMAGE, ".JPG")])
def test_ratings_have_the_ids_of_the_images(kind: str, ending: str, tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / f"{name}{ending}").touch()
    image = f"{tmp_path}/a{ending}"
    qc = write(tmp_path / "qc.csv", f"x_a,{image},fail", "b,,pass", "c,,", "elsewhere,,pass")
    assert rate_studies(qc, tmp_path, kind) == {"a": Rating("x_a", image, "fail"), "b": Rating("b", "", "pass")}


def test_a_pass_is_of_the_image_with_its_file(tmp_path: Path) -> None:
    here, there = (tmp_path / name for name in ("a", "b"))
    for folder in (here, there):
        folder.mkdir()
        (folder / "scan.nii.gz").touch()
    named = write(tmp_path / "one.csv", f"A_scan,{here}/scan.nii.gz,pass")
    assert list(rate_studies(named, here, VOLUME)) == ["scan"]
    other = write(tmp_path / "other.csv", f"scan,{there}/scan.nii.gz,pass")
    assert rate_studies(other, here, VOLUME) == {}


def test_a_failed_case_without_an_image_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatalistError, match="1 of its names fit no case: a"):
        rate_studies(write(tmp_path / "qc.csv", "a,,needs correction"), tmp_path, VOLUME)
