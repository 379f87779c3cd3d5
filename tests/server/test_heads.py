"""Whole heads on the server: inference, batches, labels, uncertainty, training, in one process."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 - its usual name
import torch
from heads import find_centers, find_nothing, region_task, write_head, write_head_label
from helpers.phantoms import ball, noise, write_nifti
from monai.bundle import ConfigParser

from bundle.inference import RegionFinder
from bundle.server import app as app_module
from bundle.server import bundle_training, scoring
from bundle.server.app import KeysliceApp
from bundle.server.bundle_run import BundleRun
from bundle.server.bundle_training import BundleTraining
from bundle.server.datastore import StudyDatastore
from bundle.server.label_tasks import REGION_OPTIONS, LabelTask
from bundle.server.scoring import Evaluation
from bundle.server.server_errors import RequestError
from bundle.server.uncertainty import UncertaintyEstimator, score_image

NAMES = {"left_anterior": 11, "left_posterior": 12, "right_anterior": 21, "right_posterior": 22}
CROP_NAMES = {"anterior": 1, "posterior": 2}


@pytest.fixture(autouse=True)
def _finder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RegionFinder, "__call__", find_centers)


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> LabelTask:
    return region_task(tmp_path_factory.mktemp("root"))


@pytest.fixture(scope="module")
def app(task: LabelTask, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeysliceApp]:
    """The app on a head and a crop."""
    folder = tmp_path_factory.mktemp("heads")
    label = ball((40, 56, 40), 8)
    write_nifti(folder / "studies" / "crop.nii.gz", (noise(label.shape) * 0.3 + label).astype(np.float32))
    write_head(folder / "studies")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app_module, "choose_tasks", lambda *_: [task])
        yield KeysliceApp(str(folder / "work"), str(folder / "studies"), {"models": "volumes"})


@pytest.fixture
def head(app: KeysliceApp) -> str:
    return str(app.datastore().get_image_uri("head"))


def values_of(file: str | Path) -> np.ndarray:
    return np.asanyarray(nib.Nifti1Image.from_filename(file).dataobj)


def with_trained_weights(task: LabelTask) -> LabelTask:
    task.work.mkdir(exist_ok=True)
    shutil.copyfile(task.shipped_weights, task.trained_weights)
    return task


def test_the_info_names_all_structures_that_can_occur(app: KeysliceApp) -> None:
    assert app.info()["models"]["volumes"]["labels"] == {**CROP_NAMES, **NAMES}


def test_a_response_names_the_structures_of_its_image(app: KeysliceApp) -> None:
    answers = {name: app.infer({"model": "volumes", "image": name, "device": "cpu"}) for name in ("head", "crop")}
    assert answers["head"]["params"]["label_names"] == NAMES
    assert answers["crop"]["params"]["label_names"] == CROP_NAMES
    assert set(np.unique(values_of(answers["head"]["file"]))) <= {0, *NAMES.values()}
    result = answers["head"]["params"]["result"]
    assert {"volumes_mm3", "asymmetry_percent", "regions", "weights"} <= result.keys()
    assert [region["plausible"] for region in result["regions"]] == [True, True]
    assert answers["crop"]["params"]["result"]["plausibility"]["distance"] < 1


def test_slicer_gets_the_values_by_which_it_finds_the_names(app: KeysliceApp) -> None:
    request = {"model": "volumes", "image": "head", "device": "cpu"}
    options = {"consecutive_values": True, "result_extension": ".nrrd", "result_dtype": "uint8"}
    assert app.info()["models"]["volumes"]["config"]["consecutive_values"] is True
    plain, answer = app.infer(request), app.infer({**request, **options})
    assert answer["params"]["label_names"] == dict(zip(NAMES, range(1, 5), strict=True))
    expected = np.select([values_of(plain["file"]) == value for value in NAMES.values()], [1, 2, 3, 4])
    np.testing.assert_array_equal(sitk.GetArrayFromImage(sitk.ReadImage(answer["file"])).T, expected)


def test_a_saved_label_has_the_values_of_the_task(app: KeysliceApp) -> None:
    request = {"model": "volumes", "image": "head", "device": "cpu", "consecutive_values": True}
    answer = app.infer({**request, "save_label": True, "label_tag": "draft"})
    assert answer["params"]["label_names"] == NAMES
    assert set(np.unique(values_of(app.datastore().get_label_uri("head", "draft")))) <= {0, *NAMES.values()}


def test_a_region_that_was_not_found_is_not_named(app: KeysliceApp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RegionFinder, "__call__", lambda *args: [find_centers(*args)[0], find_nothing(*args)[1]])
    params = app.infer({"model": "volumes", "image": "head", "device": "cpu"})["params"]
    assert params["label_names"] == {name: value for name, value in NAMES.items() if name.startswith("left")}
    assert "right was not found" in params["result"]["remarks"]


def test_the_largest_component_is_kept_in_regions_too(app: KeysliceApp) -> None:
    request = {"model": "volumes", "image": "head", "device": "cpu", "largest_component": True}
    assert app.infer(request)["params"]["label_names"] == NAMES


def test_nothing_found_is_an_error_of_the_request(app: KeysliceApp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RegionFinder, "__call__", find_nothing)
    with pytest.raises(RequestError, match=r"^head\.nii\.gz: neither left nor right was found; check that") as caught:
        app.infer({"model": "volumes", "image": "head", "device": "cpu"})
    assert caught.value.status == 400


def test_a_result_that_is_not_plausible_is_an_error_of_the_request(tmp_path: Path, head: str) -> None:
    with pytest.raises(RequestError, match=r"^head\.nii\.gz: left: .*not plausible.*plausible_distance") as caught:
        BundleRun(region_task(tmp_path / "root", mean_mm3=1e9))(head, tmp_path / "out")
    assert caught.value.status == 400


def test_trained_weights_find_regions_like_the_shipped_ones(tmp_path: Path, head: str) -> None:
    task = with_trained_weights(region_task(tmp_path / "root"))
    assert task.weight_options == {"checkpoint": str(task.trained_weights), **REGION_OPTIONS}
    record = BundleRun(task)(head, tmp_path / "out").record
    assert {name: measured["value"] for name, measured in record["labels"].items()} == NAMES
    assert record["checkpoint"]["path"] == str(task.trained_weights)


def test_weights_that_know_no_regions_do_not_find_any(tmp_path: Path) -> None:
    task = region_task(tmp_path / "root")
    task.shipped_weights.with_name("model_plausibility.json").unlink()
    assert not task.finds_regions
    assert task.weight_options == {"checkpoint": str(task.shipped_weights)}


def test_a_batch_may_mix_heads_and_crops(app: KeysliceApp) -> None:
    answers = app.batch_infer({"model": "volumes", "images": "all", "device": "cpu", "multi_gpu": False})
    assert set(answers) == {"head", "crop"}
    assert not any("error" in answer for answer in answers.values())
    store = app.datastore()
    saved = {name: set(np.unique(values_of(store.get_label_uri(name, "original")))) for name in answers}
    assert saved["head"] <= {0, *NAMES.values()}
    assert saved["crop"] <= {0, 1, 2}


@pytest.mark.parametrize("named", [False, True])
def test_a_corrected_head_is_a_final_label(app: KeysliceApp, task: LabelTask, tmp_path: Path, named: bool) -> None:
    store = app.datastore()
    file, info = write_head_label(tmp_path), {}
    if named:
        values = {11: 1, 12: 2, 21: 3, 22: 4}
        labels = values_of(file)
        file = write_nifti(
            file,
            np.select([labels == old for old in values], list(values.values())).astype(np.uint8),
            nib.Nifti1Image.from_filename(file).affine,
        )
        info = {"label_info": [{"name": name, "idx": values[value]} for name, value in NAMES.items()]}
    store.save_label("head", str(file), "final", info)
    case = store.find_final_label("head", task)
    assert case is not None
    assert set(case.names.values()) == (set(NAMES) if named else set())
    store.remove_label("head", "final")


def test_an_unknown_value_is_refused_with_all_that_are_known(app: KeysliceApp, tmp_path: Path) -> None:
    file = write_nifti(
        tmp_path / "x.nii.gz",
        values_of(write_head_label(tmp_path)) + 1,
        nib.Nifti1Image.from_filename(tmp_path / "head.nii.gz").affine,
    )
    with pytest.raises(RequestError, match=r"anterior = 1, .*left_anterior = 11, .*right_posterior = 22"):
        app.datastore().save_label("head", str(file), "final", {})


def test_the_uncertainty_of_a_head_is_that_of_its_regions(tmp_path: Path, head: str) -> None:
    task = region_task(tmp_path / "root")
    value = UncertaintyEstimator(task)(head)
    assert 0 < value < 1
    assert UncertaintyEstimator(with_trained_weights(task))(head) == value


def test_the_uncertainty_of_a_result_that_is_not_plausible_is_known(tmp_path: Path, head: str) -> None:
    assert 0 < UncertaintyEstimator(region_task(tmp_path / "root", mean_mm3=1e9))(head) < 1


def test_a_head_without_regions_has_no_uncertainty(
    app: KeysliceApp, task: LabelTask, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(RegionFinder, "__call__", find_nothing)
    estimator = UncertaintyEstimator(task)
    assert score_image(estimator, app.datastore(), "head") is None
    assert "neither left nor right was found" in caplog.text


def test_the_label_map_is_that_of_the_bundle(task: LabelTask, head: str, tmp_path: Path) -> None:
    parser = ConfigParser(deepcopy(task.config))
    files = {"input": head, "output_dir": str(tmp_path / "run"), "checkpoint": str(task.shipped_weights)}
    parser.update({**files, "plan": "fp32"})
    parser.get_parsed_content("evaluator").run()
    found = BundleRun(task)(head, tmp_path / "server", overrides={"plan": "fp32"})
    assert found.file is not None
    np.testing.assert_array_equal(values_of(found.file), values_of(tmp_path / "run" / "head_seg.nii.gz"))


@pytest.fixture
def labeled(app: KeysliceApp, tmp_path: Path) -> Iterator[StudyDatastore]:
    """The datastore, in which the head has a final label."""
    store = app.datastore()
    store.save_label("head", str(write_head_label(tmp_path)), "final", {})
    yield store
    store.remove_label("head", "final")


def test_a_training_gets_the_crops_of_both_sides(
    labeled: StudyDatastore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Mapping[str, Any]] = []

    def run(config: Path, overrides: Mapping[str, Any], folder: Path) -> dict[str, Any]:
        asked.append(overrides)
        folder.mkdir(parents=True)
        for name in ("model.pt", "last.pt"):
            torch.save({"best_metric": 0.5}, folder / name)
        return {"failures": []}

    monkeypatch.setattr(bundle_training, "run_workflow", run)
    record = BundleTraining(region_task(tmp_path / "root"))({"device": "cpu", "max_epochs": 1}, labeled)
    items = json.loads(Path(asked[0]["datalist"]).read_text())["training"]
    assert {Path(item["image"]).name for item in items} == {"head_left.nii.gz", "head_right.nii.gz"}
    assert (record["trained_on"], record["validated_on"]) == (["head"], "the training cases")


def test_the_score_of_a_head_is_the_mean_of_its_sides(
    labeled: StudyDatastore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(config: Path, overrides: Mapping[str, Any], folder: Path) -> dict[str, Any]:
        names = [Path(item["image"]).name for item in json.loads(Path(overrides["datalist"]).read_text())["training"]]
        rows = [{"case": name.removesuffix(".nii.gz"), "dice": 0.6 + 0.2 * ("left" in name)} for name in names]
        folder.mkdir(parents=True)
        (folder / "metrics.json").write_text(json.dumps({"cases": rows}))
        return {"failures": []}

    monkeypatch.setattr(scoring, "run_workflow", run)
    assert Evaluation([region_task(tmp_path / "root")])({}, labeled)["cases"] == {"head": 0.7}
    assert "dice" in labeled.get_image_info("head")
