"""Predictions of other tools are found by the names of their cases."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from bundle.data import DatalistError
from bundle.data.prediction_files import with_predictions


def case(name: str, image: str | list[str] = "", label: str = "") -> dict[str, object]:
    return {"case": name, "image": image or f"in/{name}.nii.gz", "label": label or f"labels/{name}.nii.gz"}


def touch(folder: Path, *names: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"")
    return folder


def found(folder: Path, *cases: dict[str, object]) -> list[str]:
    return [Path(item["prediction"]).name for item in with_predictions(cases, folder)]


def test_cases_stay_as_they_are_without_predictions() -> None:
    assert with_predictions([case("a")], None) == [case("a")]


@pytest.mark.parametrize("file", ["a.nii.gz", "a_seg.nii.gz", "A_pred.nrrd", "a.mha", "a_seg.dcm", "a-label.nii"])
def test_a_prediction_has_the_name_of_its_case_and_may_append_a_suffix(tmp_path: Path, file: str) -> None:
    assert found(touch(tmp_path, file), case("a")) == [file]


def test_a_file_is_not_the_prediction_of_two_cases(tmp_path: Path) -> None:
    cases = [case(f"{folder}_p1", f"{folder}/p1.nii.gz", f"{folder}/p1_seg.nii.gz") for folder in "AB"]
    with pytest.raises(DatalistError, match=r"p1\.nii\.gz: could be the prediction of A_p1 and of B_p1; name"):
        found(touch(tmp_path, "p1.nii.gz"), *cases)


def test_a_prediction_of_nnunet_is_named_without_the_channel(tmp_path: Path) -> None:
    touch(tmp_path, "a.nii.gz", "b.nii.gz", "predict_from_raw_data_args.json", "dataset.json")
    one, several = case("a_0000", "in/a_0000.nii.gz"), case("b", ["in/b_0000.nii.gz", "in/b_0001.nii.gz"])
    assert found(tmp_path, one, several) == ["a.nii.gz", "b.nii.gz"]


def test_a_case_is_also_found_by_the_name_of_its_label(tmp_path: Path) -> None:
    assert found(touch(tmp_path, "lab1.png"), case("x", "in/x.png", "masks/lab1.png")) == ["lab1.png"]


def test_the_label_map_goes_before_the_json_that_describes_it(tmp_path: Path) -> None:
    assert found(touch(tmp_path, "a.json", "a_seg.nii.gz", "summary.json"), case("a")) == ["a_seg.nii.gz"]


def test_points_are_read_from_one_of_the_files_that_are_written(tmp_path: Path) -> None:
    touch(tmp_path, "a.csv", "a.json", "a.mrk.json", "a_label-discs_dlabel.nii.gz")
    assert found(tmp_path, case("a", label="labels/a_discs.json")) == ["a.csv"]


def test_a_label_map_of_points_is_read_where_there_is_nothing_else(tmp_path: Path) -> None:
    touch(tmp_path, "a_label-discs_dlabel.nii.gz")
    assert found(tmp_path, case("a", label="labels/a.json")) == ["a_label-discs_dlabel.nii.gz"]


def test_classified_images_have_no_label_file(tmp_path: Path) -> None:
    assert found(touch(tmp_path, "a.png"), {"case": "a", "image": "in/a.png", "label": [0, 1]}) == ["a.png"]


def test_a_missing_prediction_gets_the_path_where_it_is_expected(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    assert found(touch(tmp_path, "a.nii.gz", "other.nii.gz"), case("a"), case("b")) == ["a.nii.gz", "b"]
    assert "1 files are not scored, such as other.nii.gz" in caplog.text


def test_files_of_a_case_whose_last_inference_failed_are_not_scored(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    touch(tmp_path, "a_seg.nii.gz", "b_seg.nii.gz")
    (tmp_path / "a.json").write_text('{"case": "a", "error": "UnreadableFileError"}')
    (tmp_path / "b.json").write_text('{"case": "b"}')
    assert found(tmp_path, case("a"), case("b")) == ["a", "b_seg.nii.gz"]
    assert "a: has no prediction in" in caplog.text


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (["a.nii.gz", "a_seg.nii.gz"], "several predictions of a: a.nii.gz, a_seg.nii.gz"),
        (["c.nii.gz"], "holds no prediction of a case; such a file is named a with its ending, and the folder holds c"),
        ([], "no label map, mask or points"),
    ],
)
def test_a_folder_that_fits_not_is_an_error_that_names_it(tmp_path: Path, files: list[str], words: str) -> None:
    with pytest.raises(DatalistError, match=words):
        with_predictions([case("a")], touch(tmp_path, *files))


def test_predictions_must_be_a_folder(tmp_path: Path) -> None:
    with pytest.raises(DatalistError, match="is not a folder; pass --predictions DIR"):
        with_predictions([case("a")], tmp_path / "none")
