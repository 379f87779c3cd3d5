"""Inference jobs as a whole: killed, stopped, gone on with, followed; formats in and out."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pydicom
import pytest
from helpers.dicom_files import LPS, write_series, zipped
from helpers.jobs import CONFIG, start_job, wait_for, write_cases
from helpers.phantoms import noise, rotation, write_nifti
from helpers.workflows import run_workflow, save_small_weights

from bundle.io.dicom import open_series
from bundle.io.itk import write_itk


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Weights of the small network that answer to intensities, so that label maps are not empty."""
    return save_small_weights(tmp_path_factory.mktemp("weights"))


def segment(source: Path, output: Path, *, config: str = CONFIG, **options: Any) -> None:
    """Run a job in this process."""
    run_workflow(config, input=str(source), output_dir=str(output), **options)


def finished(output: Path) -> list[str]:
    """Return the names of the cases whose JSON is there."""
    return sorted(path.stem for path in output.glob("case*.json"))


@pytest.mark.slow
def test_a_job_killed_in_the_middle_and_started_again_has_every_result_once_and_whole(
    tmp_path: Path, checkpoint: str
) -> None:
    names = write_cases(tmp_path / "in", 20)
    config = CONFIG
    run_workflow(
        "inference.json", input=str(tmp_path / "in"), output_dir=str(tmp_path / "whole"), checkpoint=checkpoint
    )

    output = tmp_path / "out"
    killed = start_job(config, tmp_path / "in", output, checkpoint)
    wait_for(lambda: len(finished(output)) >= 7, killed)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait(timeout=60) == -signal.SIGKILL
    killed.communicate()
    before = {name: (output / f"{name}.json").stat().st_mtime_ns for name in finished(output)}
    assert 7 <= len(before) < 20
    assert not (output / "summary.json").exists()

    again = start_job(config, tmp_path / "in", output, checkpoint, "--resume", "true")
    text = again.communicate(timeout=300)[0]
    assert again.returncode == 0, text
    summary = json.loads((output / "summary.json").read_text())
    assert sorted(case["case"] for case in summary["cases"]) == names
    assert f"20 cases completed, {len(before)} of them earlier, 0 skipped" in text
    assert {name: (output / f"{name}.json").stat().st_mtime_ns for name in before} == before
    for name in names:
        ours, theirs = (nib.load(folder / f"{name}_seg.nii.gz") for folder in (output, tmp_path / "whole"))
        np.testing.assert_array_equal(np.asarray(ours.dataobj), np.asarray(theirs.dataobj))
    assert {path.name for path in output.iterdir()} == {path.name for path in (tmp_path / "whole").iterdir()}


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_job_cleanly(number: int, status: int, tmp_path: Path, checkpoint: str) -> None:
    write_cases(tmp_path / "in", 30)
    output = tmp_path / "out"
    job = start_job(CONFIG, tmp_path / "in", output, checkpoint)
    wait_for(lambda: len(finished(output)) >= 2, job)
    job.send_signal(number)
    text = job.communicate(timeout=120)[0]
    assert job.returncode == status, text
    assert "Traceback" not in text
    summary = json.loads((output / "summary.json").read_text())
    assert summary["stopped"] is True
    done = sorted(case["case"] for case in summary["cases"])
    assert 2 <= len(done) < 30
    assert finished(output) == done
    assert sorted(path.name for path in output.iterdir()) == sorted(
        [f"{name}{ending}" for name in done for ending in (".json", "_dseg.tsv", "_overlay.png", "_seg.nii.gz")]
        + ["summary.json", "volumes.csv"]
    )


def test_every_format_gives_the_same_labels_on_its_own_grid(tmp_path: Path, checkpoint: str) -> None:
    voxels = noise((18, 16, 17), dtype=np.int16)
    affine = LPS @ rotation(5, 0, 10) @ np.diag([1.2, 0.8, 1.0, 1])
    series = write_series(tmp_path / "in" / "d", voxels, affine)
    affine = open_series(series).affine
    write_itk(voxels, tmp_path / "in" / "b.nrrd", affine)
    write_itk(voxels, tmp_path / "in" / "c.mha", affine)
    write_nifti(tmp_path / "in" / "a.nii.gz", voxels, affine)
    zipped(series, tmp_path / "in" / "e.zip")
    options = {"checkpoint": checkpoint, "config": CONFIG}
    segment(tmp_path / "in", tmp_path / "out", **options)
    segment(tmp_path / "in" / "d", tmp_path / "out", **options)
    results = [nib.load(tmp_path / "out" / f"{name}_seg.nii.gz") for name in "abcde"]
    expected = np.asarray(results[0].dataobj)
    assert np.unique(expected).size > 1
    for result in results:
        np.testing.assert_allclose(result.affine, affine, atol=1e-4)
        assert (np.asarray(result.dataobj) == expected).mean() > 0.999


def test_a_series_gives_dicom_objects_and_an_input_that_cannot_fails_before_the_network(
    tmp_path: Path, checkpoint: str
) -> None:
    series = write_series(tmp_path / "d", noise((16, 16, 16), dtype=np.int16))
    write_nifti(tmp_path / "in" / "a.nii.gz", noise((16, 16, 16)))
    write_series(tmp_path / "in" / "b", noise((16, 16, 16), dtype=np.int16), FrameOfReferenceUID=None)
    zipped(series, tmp_path / "in" / "d.zip")
    found = {}
    for output_format in ("dicom_seg", "dicom_seg_labelmap", "rtstruct"):
        out, lines = tmp_path / output_format, tmp_path / f"{output_format}.jsonl"
        options = {"checkpoint": checkpoint, "config": CONFIG, "progress_json": str(lines)}
        with pytest.raises(SystemExit):
            segment(tmp_path / "in", out, output_format=output_format, **options)
        content = json.loads((out / "summary.json").read_text())
        assert [failure["error"] for failure in content["failures"]] == ["OutputFormatError"] * 2
        steps = [json.loads(line) for line in lines.read_text().splitlines()]
        assert {step["case"] for step in steps if step["stage"] == "network"} == {"d"}
        found[output_format] = pydicom.dcmread(out / "d_seg.dcm")
    expected = sum(value["voxels"] for value in content["cases"][0]["labels"].values())
    assert np.count_nonzero(found["dicom_seg"].pixel_array) == expected
    assert np.count_nonzero(found["dicom_seg_labelmap"].pixel_array) == expected
    assert found["rtstruct"].Modality == "RTSTRUCT"


def test_the_job_is_followed_in_json_lines(tmp_path: Path, checkpoint: str) -> None:
    write_cases(tmp_path / "in", 2)
    lines = tmp_path / "lines.jsonl"
    options = {"checkpoint": checkpoint, "config": CONFIG, "progress_json": str(lines)}
    segment(tmp_path / "in", tmp_path / "out", **options)
    told = [json.loads(line) for line in lines.read_text().splitlines()]
    for name in ("case00", "case01"):
        assert {line["stage"] for line in told if line["case"] == name} == {"read", "network", "restore", "write"}
    assert told[-1] == {
        **{"case": None, "stage": "end", "done": 2, "total": 2, "seconds_left": 0, "cases_done": 2, "cases": 2}
    }


def test_a_changed_option_makes_the_results_again(
    tmp_path: Path, checkpoint: str, caplog: pytest.LogCaptureFixture
) -> None:
    (name,) = write_cases(tmp_path / "in", 1)
    options = {"checkpoint": checkpoint, "config": CONFIG, "resume": True}
    before = None
    for overlap, earlier in ((0.25, False), (0.25, True), (0.5, False)):
        segment(tmp_path / "in", tmp_path / "out", overlap=overlap, **options)
        (case,) = json.loads((tmp_path / "out" / "summary.json").read_text())["cases"]
        assert case["case"] == name
        assert ((tmp_path / "out" / f"{name}.json").stat().st_mtime_ns == before) is earlier
        before = (tmp_path / "out" / f"{name}.json").stat().st_mtime_ns
    assert "was computed by other settings" in caplog.text
