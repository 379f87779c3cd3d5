"""The command runs over all images of a folder; a bad one does not end it."""

from __future__ import annotations

import csv
import json
import logging
from pathlib import Path

import numpy as np
import pytest
from helpers.onnx_models import write_class_model, write_volume_model
from helpers.phantoms import noise, write_nifti
from PIL import Image

from bundle.runtime import keyslice_run
from bundle.runtime.keyslice_run import main


@pytest.fixture(autouse=True)
def _keep_logging(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyslice_run.logging, "basicConfig", lambda **_: None)


def test_a_bad_image_is_skipped_and_the_others_go_on(tmp_path: Path) -> None:
    write_nifti(tmp_path / "in" / "sub-01_T1w.nii.gz", noise((8, 9, 10)) * 30)
    write_nifti(tmp_path / "in" / "nan.nii.gz", np.full((8, 9, 10), np.nan, np.float32))
    (tmp_path / "in" / "scan.mgz").write_text("another format")
    model = write_volume_model(tmp_path / "model.onnx")
    assert main([str(model), str(tmp_path / "in"), str(tmp_path / "out"), "--threads", "1"]) == 2
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert [case["case"] for case in summary["cases"]] == ["sub-01_T1w"]
    assert summary["cases"][0]["identifiers"] == {"sub": "01"}
    assert set(summary["cases"][0]["versions"]) == {"keyslice", "python", *keyslice_run.PACKAGES}
    assert {case["error"] for case in summary["failures"]} == {"NonFiniteVoxelsError", "UnreadableFileError"}
    assert sorted(file.name for file in (tmp_path / "out").glob("*.json")) == ["sub-01_T1w.json", "summary.json"]


def test_a_folder_of_images_is_classified(tmp_path: Path) -> None:
    for name in ("a.png", "b.jpg"):
        (tmp_path / "in").mkdir(exist_ok=True)
        Image.fromarray(np.random.default_rng(0).integers(0, 255, (20, 30, 3)).astype(np.uint8)).save(
            tmp_path / "in" / name
        )
    assert main([str(write_class_model(tmp_path / "m.onnx")), str(tmp_path / "in"), str(tmp_path / "out")]) == 0
    assert len(json.loads((tmp_path / "out" / "summary.json").read_text())["cases"]) == 2
    assert [row["case"] for row in rows_of(tmp_path / "out" / "predictions.csv")] == ["a", "b"]


def test_an_image_beside_its_original_in_another_format_is_one_case(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    Image.fromarray(np.arange(1800, dtype=np.uint8).reshape(20, 30, 3)).save(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "a.dcm").write_text("the original")
    assert main([str(write_class_model(tmp_path / "m.onnx")), str(tmp_path / "in"), str(tmp_path / "out")]) == 0
    assert [row["case"] for row in rows_of(tmp_path / "out" / "predictions.csv")] == ["a"]


def rows_of(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_the_table_has_a_row_per_case_and_the_skipped_ones(tmp_path: Path) -> None:
    write_nifti(tmp_path / "in" / "good.nii.gz", noise((8, 9, 10)) * 30)
    write_nifti(tmp_path / "in" / "nan.nii.gz", np.full((8, 9, 10), np.nan, np.float32))
    main([str(write_volume_model(tmp_path / "m.onnx")), str(tmp_path / "in"), str(tmp_path / "out")])
    good, bad = rows_of(tmp_path / "out" / "volumes.csv")
    record = json.loads((tmp_path / "out" / "good.json").read_text())
    assert float(good["low_volume_mm3"]) == record["labels"]["low"]["volume_mm3"]
    assert (bad["case"], bad["error"]) == ("nan", "NonFiniteVoxelsError")
    assert [path.name for path in (tmp_path / "out").glob("*.csv")] == ["volumes.csv"]


def test_a_missing_image_is_a_failed_case(tmp_path: Path) -> None:
    assert (
        main([str(write_volume_model(tmp_path / "m.onnx")), str(tmp_path / "none.nii.gz"), str(tmp_path / "out")]) == 2
    )
    assert "does not exist" in json.loads((tmp_path / "out" / "summary.json").read_text())["failures"][0]["message"]


def test_an_empty_folder_and_a_missing_model_are_one_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "in").mkdir()
    assert main([str(write_volume_model(tmp_path / "m.onnx")), str(tmp_path / "in"), str(tmp_path / "out")]) == 2
    assert main([str(tmp_path / "none.onnx"), str(tmp_path / "in"), str(tmp_path / "out")]) == 2
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 2
    assert "in: the folder holds no .nii.gz, .nii file; name an image, or the folder that it is in." in caplog.text
    assert "does not exist" in caplog.text
    assert not (tmp_path / "out").exists()
    assert main([str(write_class_model(tmp_path / "c.onnx")), str(tmp_path / "in"), str(tmp_path / "out")]) == 2
    assert "the folder holds no .png, .jpg, .jpeg, .bmp, .tif, .tiff file" in caplog.text


@pytest.mark.parametrize(("given", "output"), [("in", "in"), ("in/a.nii.gz", "in/../in"), ("link.nii.gz", "in")])
def test_an_image_among_the_results_is_refused_and_nothing_is_replaced(
    given: str, output: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = write_volume_model(tmp_path / "m.onnx")
    write_nifti(tmp_path / "in" / "a.nii.gz", noise((8, 9, 10)) * 30)
    manual = write_nifti(tmp_path / "in" / "a_seg.nii.gz", np.ones((8, 9, 10), np.uint8)).read_bytes()
    (tmp_path / "link.nii.gz").symlink_to(tmp_path / "in" / "a.nii.gz")
    assert main([str(model), str(tmp_path / given), str(tmp_path / output)]) == 2
    assert f"lies in the folder of the results, {tmp_path / output}; name another folder for them." in caplog.text
    assert sorted(file.name for file in (tmp_path / "in").iterdir()) == ["a.nii.gz", "a_seg.nii.gz"]
    assert (tmp_path / "in" / "a_seg.nii.gz").read_bytes() == manual


def test_a_folder_for_the_results_may_lie_in_that_of_the_images(tmp_path: Path) -> None:
    model = write_volume_model(tmp_path / "m.onnx")
    write_nifti(tmp_path / "in" / "a.nii.gz", noise((8, 9, 10)) * 30)
    for _ in range(2):
        assert main([str(model), str(tmp_path / "in"), str(tmp_path / "in" / "out")]) == 0
    assert len(json.loads((tmp_path / "in" / "out" / "summary.json").read_text())["cases"]) == 1


def test_an_output_that_is_a_file_and_no_threads_are_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture
) -> None:
    words = [str(write_volume_model(tmp_path / "m.onnx")), str(tmp_path / "a.nii.gz"), str(tmp_path / "m.onnx")]
    assert main(words) == 2
    assert caplog.messages == [f"{tmp_path / 'm.onnx'}: File exists."]
    with pytest.raises(SystemExit) as exited:
        main([*words, "--threads", "0"])
    assert exited.value.code == 2
    assert "--threads must be at least 1, got 0." in capsys.readouterr().err


def test_another_task_is_an_error(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    model = write_volume_model(tmp_path / "m.onnx", task="knees")
    assert main([str(model), str(tmp_path / "a.nii.gz"), str(tmp_path / "out")]) == 2
    assert "is of the task knees, which is not run here" in caplog.text
