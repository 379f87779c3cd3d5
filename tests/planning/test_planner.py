"""A plan is an overlay that trains."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.workflows import run_workflow, small_dataset

from bundle.data import DatalistError, select_cases
from bundle.planning import dry_run, plan_training, planner
from bundle.planning.choices import PlanError

ANSWER = {
    **{"step_seconds": 0.5, "step_cpu_seconds": 0.5, "validation_seconds": 0.2, "load_seconds": 0.01},
    **{"peak_gb": 1.0, "cached_gb": 0.0, "amp": 0, "validation_cpu_seconds": 0.2},
}


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The answers of the dry runs to come; the last one is repeated."""
    found = [ANSWER]
    monkeypatch.setattr(planner, "measure", lambda *_: found.pop(0) if len(found) > 1 else found[0])
    return found


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return small_dataset(tmp_path / "data", 8, 20)


@pytest.mark.usefixtures("answers")
def test_a_folder_becomes_an_overlay_a_datalist_and_reasons(
    dataset: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    result = plan_training(dataset, tmp_path / "plan", hours=0.2, memory_gb=4, device="cpu", explain=True)
    overlay = json.loads((tmp_path / "plan" / "plan.json").read_text())
    assert (overlay["roi_size"], overlay["pixdim"], overlay["amp"]) == ([20, 20, 20], [1.0, 1.0, 1.0], False)
    assert overlay["label_names"] == {"label_1": 1, "label_2": 2}
    datalist = json.loads((tmp_path / "plan" / "datalist.json").read_text())
    assert (len(datalist["training"]), len(datalist["test"])) == (6, 2)
    assert result["predicted"]["total_seconds"] <= 0.2 * 3600
    assert {"spacing", "patch", "network", "sampling", "normalization", "loss", "epochs", "cache"} <= {
        choice["name"] for choice in result["choices"]
    }
    assert all(choice["reason"] and choice["source"] for choice in result["choices"])
    assert "plan.json" in caplog.text


@pytest.mark.usefixtures("answers")
def test_the_overlay_trains_and_evaluates(dataset: Path, tmp_path: Path) -> None:
    plan_training(dataset, tmp_path / "plan", device="cpu", memory_gb=4, hours=0.2)
    plan, out = str(tmp_path / "plan" / "plan.json"), tmp_path / "out"
    small = {"network_def#channels": [4, 8, 8], "roi_size": [24, 24, 24], "output_dir": str(out)}
    run_workflow(["train.json", plan], epochs=1, iterations_per_epoch=1, val_interval=1, warmup=0, **small)
    evaluation = {**small, "output_dir": str(tmp_path / "metrics"), "checkpoint": str(out / "model.pt")}
    run_workflow(["evaluate.json", plan], split="test", **evaluation)
    assert (tmp_path / "metrics" / "metrics.json").is_file()


@pytest.mark.usefixtures("answers")
def test_folds_and_test_cases_of_a_datalist_are_kept(dataset: Path, tmp_path: Path) -> None:
    items = [
        {"image": f"images/case{n}.nii.gz", "label": f"labels/case{n}.nii.gz", **({} if n > 5 else {"fold": n % 2})}
        for n in range(8)
    ]
    listed = tmp_path / "list.json"
    names = {"0": "background", "1": "left", "2": "right"}
    listed.write_text(json.dumps({"labels": names, "training": items[:6], "test": items[6:]}))
    plan_training(dataset, tmp_path / "plan", datalist=listed, device="cpu", memory_gb=4)
    overlay, datalist = (json.loads((tmp_path / "plan" / f"{name}.json").read_text()) for name in ("plan", "datalist"))
    assert [item["fold"] for item in datalist["training"]] == [0, 1, 0, 1, 0, 1]
    assert len(datalist["test"]) == 2
    assert "RandFlipd" not in [item["_target_"] for item in overlay["augmentation"]]


@pytest.mark.usefixtures("answers")
def test_regions_of_nnunet_are_planned_as_sigmoids(dataset: Path, tmp_path: Path) -> None:
    (dataset / "images").rename(dataset / "imagesTr")
    (dataset / "labels").rename(dataset / "labelsTr")
    for file in (dataset / "imagesTr").iterdir():
        file.rename(file.with_name(file.name.replace(".nii", "_0000.nii")))
    labels = {"background": 0, "whole": [1, 2], "core": [2]}
    (dataset / "dataset.json").write_text(json.dumps({"channel_names": {"0": "T1"}, "labels": labels}))
    plan_training(dataset, tmp_path / "plan", device="cpu", memory_gb=4)
    overlay = json.loads((tmp_path / "plan" / "plan.json").read_text())
    assert overlay["regions"] == {"whole": [1, 2], "core": [2]}
    assert overlay["label_values"] == {"whole_without_core": [1], "core": [2]}
    again = tmp_path / "again"
    plan_training(dataset, again, datalist=tmp_path / "plan" / "datalist.json", device="cpu", memory_gb=4)
    assert json.loads((again / "plan.json").read_text())["regions"] == overlay["regions"]


def test_a_patch_that_takes_too_much_memory_becomes_smaller(
    dataset: Path, tmp_path: Path, answers: list[dict[str, Any]]
) -> None:
    answers.insert(0, {**ANSWER, "peak_gb": 4.0})
    result = plan_training(dataset, tmp_path / "plan", device="cpu", memory_gb=2)
    patch = next(choice["value"] for choice in result["choices"] if choice["name"] == "patch")
    assert patch != "20 x 20 x 20"


@pytest.mark.parametrize("peak", [9.0, 2.1])
def test_memory_for_no_patch_is_an_error(
    peak: float, dataset: Path, tmp_path: Path, answers: list[dict[str, Any]]
) -> None:
    answers[:] = [{**ANSWER, "peak_gb": peak}]
    with pytest.raises(PlanError, match=rf"takes {peak} GB, more than 2\.0; pass --memory with more"):
        plan_training(dataset, tmp_path / "plan", device="cpu", memory_gb=2)


def test_cases_that_do_not_fit_are_loaded_again(dataset: Path, tmp_path: Path, answers: list[dict[str, Any]]) -> None:
    answers[:] = [{**ANSWER, "peak_gb": 2.0}]
    result = plan_training(dataset, tmp_path / "plan", device="cpu", memory_gb=2)
    assert json.loads((tmp_path / "plan" / "plan.json").read_text())["cache_gb"] == 0
    reasons = {choice["name"]: choice["reason"] for choice in result["choices"]}
    assert reasons["epochs"].startswith("0.52 s a step, 0.02 s of it to load cases")


def test_the_cache_of_a_gpu_is_in_the_memory_of_the_machine(
    dataset: Path, tmp_path: Path, answers: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    answers[:] = [{**ANSWER, "peak_gb": 7.9, "cached_gb": 0.1}]
    result = plan_training(dataset, tmp_path / "plan", device="cuda:0", memory_gb=8)
    assert json.loads((tmp_path / "plan" / "plan.json").read_text())["cache_gb"] is None
    assert result["predicted"]["peak_gb"] == 7.9


@pytest.mark.usefixtures("answers")
def test_a_case_with_a_fault_is_not_in_the_dry_run(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Any] = []
    monkeypatch.setattr(planner, "measure", lambda _, *parts: drawn.extend([*parts[0], *parts[1]]) or ANSWER)
    (dataset / "images" / "case0.nii.gz").write_bytes(bytes(10**6))
    plan_training(dataset, tmp_path / "plan", device="cpu", memory_gb=4, test_share=0)
    assert drawn
    assert "case0" not in [case["case"] for case in drawn]


@pytest.mark.usefixtures("answers")
def test_the_lowest_fold_of_a_datalist_is_for_validation(dataset: Path, tmp_path: Path) -> None:
    items = [
        {"image": f"images/case{n}.nii.gz", "label": f"labels/case{n}.nii.gz", "fold": 1 + n % 4} for n in range(8)
    ]
    (tmp_path / "list.json").write_text(json.dumps({"training": items}))
    result = plan_training(dataset, tmp_path / "plan", datalist=tmp_path / "list.json", device="cpu", memory_gb=4)
    overlay = json.loads((tmp_path / "plan" / "plan.json").read_text())
    assert overlay["fold"] == 1
    assert result["choices"][0]["reason"].startswith("fold 1 is for validation")
    assert len(select_cases(dataset, "validation", overlay["datalist"], overlay["fold"])) == 2


def test_nothing_to_train_on_is_an_error(dataset: Path, tmp_path: Path) -> None:
    for file in (dataset / "images").iterdir():
        file.write_bytes(b"no volume")
    with pytest.raises(PlanError, match="no labeled volume can be read"):
        plan_training(dataset, tmp_path / "plan")


@pytest.mark.usefixtures("answers")
def test_training_cases_with_faults_alone_are_an_error(dataset: Path, tmp_path: Path) -> None:
    items = [{"image": f"images/case{n}.nii.gz", "label": f"labels/case{n}.nii.gz"} for n in range(8)]
    content = {"labels": {"0": "background", "1": "left"}, "training": items}
    (tmp_path / "list.json").write_text(json.dumps(content))
    with pytest.raises(PlanError, match="every training case has a fault"):
        plan_training(dataset, tmp_path / "plan", datalist=tmp_path / "list.json", memory_gb=4)


@pytest.mark.usefixtures("answers")
def test_faults_are_counted(dataset: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (dataset / "images" / "case0.nii.gz").write_bytes(b"no volume")
    plan_training(dataset, tmp_path / "plan", device="auto")
    assert "1 faults; python -m bundle check" in caplog.text


def test_options_that_make_no_sense_are_errors(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="--hours must be more than 0"):
        plan_training(tmp_path, tmp_path / "plan", hours=0)
    with pytest.raises(PlanError, match="--test_share must be 0 or more and less than 1, got 1"):
        plan_training(tmp_path, tmp_path / "plan", test_share=1)
    for device in ("abacus", "meta", "cuda:9" if not torch.cuda.is_available() else "xla"):
        with pytest.raises(PlanError, match=f"--device {device} is not available; pass cpu, cuda"):
            plan_training(tmp_path, tmp_path / "plan", device=device)
    with pytest.raises(DatalistError, match="holds neither"):
        plan_training(tmp_path, tmp_path / "plan")


def test_half_of_the_memory_is_taken_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planner, "available_memory", lambda: 8 * 1024**3)
    assert planner._memory("cpu") == 4

    class Properties:
        total_memory = 10 * 1024**3

    monkeypatch.setattr("torch.cuda.get_device_properties", lambda _: Properties)
    assert planner._memory("cuda") == 9


def overlay(dataset: Path, **ids: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    small = {"roi_size": [16, 16, 16], "network_def#channels": [4, 8], "network_def#deep_supervision": True}
    cases = [
        {
            "case": f"case{n}",
            "image": str(dataset / f"images/case{n}.nii.gz"),
            "label": str(dataset / f"labels/case{n}.nii.gz"),
        }
        for n in range(2)
    ]
    return {**small, "foreground_share": 0.5, **ids}, cases


def test_a_dry_run_measures_steps_and_memory(dataset: Path, tmp_path: Path) -> None:
    plan, cases = overlay(dataset)
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    request = {
        "files": [str(Path(planner.__file__).parents[2] / "configs" / "train.json"), str(tmp_path / "plan.json")],
        **{"training": cases, "validation": cases[:1], "device": "cpu"},
        **{"output_dir": str(tmp_path / "run"), "answer": str(tmp_path / "answer.json")},
    }
    (tmp_path / "request.json").write_text(json.dumps(request))
    dry_run.main([str(tmp_path / "request.json")])
    found = json.loads((tmp_path / "answer.json").read_text())
    assert set(found) == set(ANSWER)
    assert all(found[name] > 0 for name in found if name != "amp")


def test_a_dry_run_is_a_process_of_its_own(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    found = {"step_seconds": 1.0, "step_cpu_seconds": 0.1}

    def answer(command: list[str], **_: Any) -> Any:
        request = json.loads(Path(command[-1]).read_text())
        Path(request["answer"]).write_text(json.dumps(found))

    monkeypatch.setattr("subprocess.run", answer)
    assert dry_run.measure({}, [], [], "cpu") == found
    assert "a step had 10 % of a core" in caplog.text
    caplog.clear()
    assert dry_run.measure({}, [], [], "cuda") == found
    assert not caplog.text


def test_the_cause_of_a_dry_run_that_fails_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(command: list[str], **_: Any) -> None:
        Path(json.loads(Path(command[-1]).read_text())["answer"]).write_text('{"error": "2 channels; 1 is expected"}')

    monkeypatch.setattr("subprocess.run", answer)
    with pytest.raises(PlanError, match="the dry run of the plan failed: 2 channels; 1 is expected"):
        dry_run.measure({}, [], [], "cpu")


@pytest.mark.parametrize(("text", "last"), [("a\nRuntimeError: b\n", "RuntimeError: b"), ("", "killed, as when")])
def test_a_dry_run_that_fails_is_one_line(monkeypatch: pytest.MonkeyPatch, text: str, last: str) -> None:
    class Run:
        stderr, stdout = text, ""

    monkeypatch.setattr("subprocess.run", lambda *_, **__: Run)
    with pytest.raises(PlanError, match=f"the dry run of the plan failed: {last}"):
        dry_run.measure({}, [], [], "cpu")


@pytest.mark.usefixtures("answers")
@pytest.mark.parametrize(
    ("count", "folds", "test", "words"),
    [
        (1, 1, 0, "validation on the training cases"),
        (2, 2, 0, "too few patients for a test set"),
        (3, 3, 0, "too few patients for a test set"),
        (4, 3, 1, "the test set is for the evaluation alone"),
    ],
)
def test_few_cases_can_be_planned(count: int, folds: int, test: int, words: str, tmp_path: Path) -> None:
    data = small_dataset(tmp_path / "data", count, 20)
    result = plan_training(data, tmp_path / "plan", memory_gb=4, device="cpu", hours=0.2)
    assert words in result["choices"][0]["reason"]
    datalist = json.loads((tmp_path / "plan" / "datalist.json").read_text())
    assert (len({item["fold"] for item in datalist["training"]}), len(datalist["test"])) == (folds, test)
    overlay = json.loads((tmp_path / "plan" / "plan.json").read_text())
    assert overlay.get("fold") == ("all" if count == 1 else None)
    for split in ("training", "validation"):
        assert select_cases(data, split, overlay["datalist"], overlay.get("fold", 0))


@pytest.mark.usefixtures("answers")
def test_folds_are_not_more_than_the_patients(tmp_path: Path) -> None:
    data = small_dataset(tmp_path / "data", 8, 20)
    items = [
        {"image": f"images/case{n}.nii.gz", "label": f"labels/case{n}.nii.gz", "patient": f"p{n % 2}"} for n in range(8)
    ]
    (data / "dataset.json").write_text(json.dumps({"training": items}))
    plan_training(data, tmp_path / "plan", memory_gb=4, device="cpu", hours=0.2)
    folds = {
        (item["patient"], item["fold"])
        for item in json.loads((tmp_path / "plan" / "datalist.json").read_text())["training"]
    }
    assert len(folds) == 2
