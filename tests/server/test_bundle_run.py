"""A task's config, run on one image."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from helpers.phantoms import ball, noise, write_nifti
from PIL import Image
from servers import task_without_guard, untrained_task

from bundle.inference import CaseRecord
from bundle.networks import WeightsError
from bundle.server.bundle_run import BundleRun, load_network
from bundle.server.label_tasks import LabelTask
from bundle.server.server_errors import RequestError

PLAN = {"plan": "fp32"}


@pytest.fixture
def task(tmp_path: Path) -> LabelTask:
    """The main task, with a working folder."""
    (tmp_path / "work").mkdir()
    return replace(task_without_guard(tmp_path / "root"), work=tmp_path / "work")


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A phantom."""
    label = ball((24, 26, 22), 6)
    return write_nifti(tmp_path / "scan.nii.gz", (noise(label.shape) * 0.3 + label).astype(np.float32))


def test_the_result_has_a_record_and_a_label_map(task: LabelTask, image: Path, tmp_path: Path) -> None:
    result = BundleRun(task)(image, tmp_path / "out", overrides=PLAN)
    assert result.file == tmp_path / "out" / "scan_seg.nii.gz"
    assert nib.Nifti1Image.from_filename(result.file).shape == (24, 26, 22)
    assert result.record["case"] == "scan"
    written = sorted(file.name for file in (tmp_path / "out").iterdir())
    assert written == ["scan.json", "scan_dseg.tsv", "scan_seg.nii.gz"]


def test_only_the_largest_component_remains_if_requested(task: LabelTask, image: Path, tmp_path: Path) -> None:
    from scipy import ndimage

    run = BundleRun(task)
    plain, largest = (
        np.asanyarray(
            nib.Nifti1Image.from_filename(
                run(image, tmp_path / str(on), {"largest_component": on}, overrides=PLAN).file
            ).dataobj
        )
        for on in (False, True)
    )
    expected = np.zeros_like(plain)
    for value in (1, 2):
        parts, count = ndimage.label(plain == value, np.ones((3, 3, 3)))
        if count:
            expected[parts == 1 + np.bincount(parts.ravel())[1:].argmax()] = value
    np.testing.assert_array_equal(largest, expected)


def test_the_network_is_cached_until_its_weights_change(task: LabelTask) -> None:
    run = BundleRun(task)
    first = run.network()
    assert run.network() is first
    shutil.copyfile(task.shipped_weights, task.trained_weights)
    second = run.network()
    assert second is not first
    os.utime(task.trained_weights, ns=(1, 1))
    assert run.network() is not second


def test_invalid_images_are_errors_of_the_request(task: LabelTask, image: Path, tmp_path: Path) -> None:
    run = BundleRun(task)
    image.write_bytes(b"broken")
    for path, message in ((image, "^scan.nii.gz: "), (tmp_path / "work", "holds no .nii")):
        with pytest.raises(Exception, match=message) as error:
            run(path, tmp_path / "out", overrides=PLAN)
        assert getattr(error.value, "status", 400) == 400


def test_a_folder_of_several_images_is_refused(task: LabelTask, image: Path, tmp_path: Path) -> None:
    shutil.copyfile(image, tmp_path / "other.nii.gz")
    with pytest.raises(RequestError, match="contains 2 images; send one at a time"):
        BundleRun(task)(tmp_path, tmp_path / "out")


def test_an_error_of_the_network_is_a_server_error(
    task: LabelTask, image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("out of luck")

    run = BundleRun(task)
    monkeypatch.setattr(run, "network", lambda device: Broken())
    with pytest.raises(RequestError, match="out of luck") as error:
        run(image, tmp_path / "out", overrides=PLAN)
    assert error.value.status == 500


def test_invalid_weights_are_reported(task: LabelTask) -> None:
    task.trained_weights.write_bytes(b"broken")
    with pytest.raises(WeightsError, match="cannot be read as a file of weights"):
        load_network(task, task.trained_weights)


def test_an_invalid_config_raises_the_original_error(task: LabelTask) -> None:
    task.__dict__["config"] = {**task.config, "attention": "unheard of"}
    with pytest.raises(ValueError, match="unheard of"):
        load_network(task, task.shipped_weights)
    task.__dict__["config"] = {**task.config, "network": "$1 / 0"}
    with pytest.raises(ZeroDivisionError):
        load_network(task, task.shipped_weights)


def test_a_case_without_a_label_map_has_no_file(task: LabelTask, tmp_path: Path) -> None:
    class Evaluator:
        failures = ()
        records = (CaseRecord("x", status="completed"),)

    assert BundleRun(task)._collect_result(Evaluator(), tmp_path / "x.nii", tmp_path).file is None


@pytest.mark.parametrize("name", ["lesions", "cells"])
def test_a_mask_has_the_size_of_its_jpeg(name: str, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (45, 61, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "mole.jpg")
    small = {"roi_size": [32, 32]}
    result = BundleRun(untrained_task(name, tmp_path))(
        tmp_path / "mole.jpg", tmp_path / "out", {"threshold": "0.4", "largest_component": True}, overrides=small
    )
    assert result.file == tmp_path / "out" / "mole_seg.png"
    assert Image.open(result.file).size == (61, 45)
    assert result.record["threshold"] == 0.4
    assert sorted(file.name for file in (tmp_path / "out").glob("mole*")) == ["mole.json", "mole_seg.png"]
