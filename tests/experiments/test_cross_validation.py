"""The cross-validation as a whole, on phantoms, from the command line."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.phantoms import write_nifti
from helpers.workflows import run_workflow, small_dataset, small_options
from monai.bundle import create_workflow

import bundle.cli.main as commands
from bundle import ROOT
from bundle.experiments.crossval import fold_runs as runs

TINY = ["--epochs", "2", *small_options()]
KILLED = """
import os, signal, sys
from bundle.training import NonFiniteGuard
from bundle.cli.main import main

step, done = NonFiniteGuard.__call__, []

def count(self, engine):
    step(self, engine)
    done.append(engine.state.epoch)
    if len(done) == 12:
        os.kill(os.getpid(), signal.SIGKILL)

NonFiniteGuard.__call__ = count
main(sys.argv[1:])
"""
"""Three folds of two epochs of two steps: the process is killed in the last step of the third fold."""


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the logging of the test run alone."""
    monkeypatch.setattr(commands.logging, "basicConfig", lambda **_: None)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six cases in three folds, and two test cases."""
    folder = small_dataset(tmp_path_factory.mktemp("dataset"), count=8)
    items = [{"image": f"images/case{i}.nii.gz", "label": f"labels/case{i}.nii.gz"} for i in range(8)]
    training = [{**item, "fold": number % 3} for number, item in enumerate(items[:6])]
    (folder / "dataset.json").write_text(json.dumps({"training": training, "test": items[6:]}))
    return folder


@pytest.fixture(scope="module")
def finished(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole cross-validation of three folds."""
    output = tmp_path_factory.mktemp("crossval") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(commands.logging, "basicConfig", lambda **_: None)
        assert run(dataset, output) == 0
    return output


def words(dataset: Path, output: Path, *options: str) -> list[str]:
    return ["crossval", "--dataset_dir", str(dataset), "--output_dir", str(output), *TINY, *options]


def run(dataset: Path, output: Path, *options: str) -> int:
    return commands.main(words(dataset, output, *options))


def read(output: Path) -> dict[str, Any]:
    return json.loads((output / "crossval.json").read_text())


def rows_of(output: Path) -> list[dict[str, str]]:
    with open(output / "crossval.csv", newline="") as stream:
        return list(csv.DictReader(stream))


def test_every_case_is_scored_once_by_the_network_of_its_fold(finished: Path) -> None:
    rows = [row for row in rows_of(finished) if row["split"] == "out of fold"]
    assert {(row["case"], row["model"]) for row in rows} == {(f"case{i}", f"fold{i % 3}") for i in range(6)}
    assert len(rows) == 6 * 2


def test_the_statistics_are_those_of_all_cases_together(finished: Path) -> None:
    rows = [row for row in rows_of(finished) if row["split"] == "out of fold"]
    found = read(finished)["out_of_fold"]
    for structure in ("anterior", "posterior"):
        dice = [float(row["dice"]) for row in rows if row["structure"] == structure]
        assert found[structure]["dice"]["mean"] == pytest.approx(np.mean(dice))
        assert found[structure]["dice"]["n"] == 6
    assert found["mean"]["dice"]["mean"] == pytest.approx(np.mean([float(row["dice"]) for row in rows]))


def test_test_cases_are_scored_by_every_network_and_the_ensemble(finished: Path) -> None:
    rows = [row for row in rows_of(finished) if row["split"] == "test"]
    models = {*(f"fold{fold}" for fold in range(3)), "ensemble"}
    assert {(row["case"], row["model"]) for row in rows} == {(f"case{i}", name) for i in (6, 7) for name in models}
    test = read(finished)["test"]
    best = max(range(3), key=lambda fold: test["mean"][f"fold{fold}"])
    assert test["best"] == best
    values = {(row["model"], row["structure"], row["case"]): float(row["dice"]) for row in rows}
    keys = [("anterior", case) for case in ("case6", "case7")]
    expected = np.mean([values["ensemble", *key] - values[f"fold{best}", *key] for key in keys])
    assert test["difference"]["anterior"]["dice"]["mean"] == pytest.approx(expected)


def test_a_fold_is_the_training_that_the_config_alone_gives(dataset: Path, finished: Path, tmp_path: Path) -> None:
    options = {"dataset_dir": str(dataset), "output_dir": str(tmp_path), "fold": 1, "epochs": 2, "val_interval": 3}
    run_workflow("train.json", **options)
    alone, found = (torch.load(place / "model.pt", weights_only=True) for place in (tmp_path, finished / "fold1"))
    assert all(torch.equal(value, found[key]) for key, value in alone.items())


def evaluate(config: str, overlay: Path, **overrides: Any) -> None:
    """Run a config of the project with an overlay of the cross-validation, at the size that the overlay gives."""
    files = [str(Path(ROOT, "configs", config)), str(overlay)]
    workflow = create_workflow(
        config_file=files, workflow_type="infer", logging_file=False, device="cpu", plan="fp32", **overrides
    )
    workflow.run()
    workflow.finalize()


def test_the_ensemble_is_what_inference_makes_of_all_networks(dataset: Path, finished: Path, tmp_path: Path) -> None:
    """The overlay against the networks that the sliding window can average itself."""
    image = str(dataset / "images" / "case6.nii.gz")
    evaluate("inference.json", finished / "ensemble.json", input=image, output_dir=str(tmp_path / "overlay"))
    definition = json.loads(Path(ROOT, "configs", "inference.json").read_text())["network_def"]
    members = [
        {
            "_target_": "bundle.networks.load_weights",
            "network": {**definition, "channels": [4, 8]},
            "checkpoint": str(finished / f"fold{fold}" / "model.pt"),
        }
        for fold in (1, 2)
    ]
    run_workflow(
        "inference.json",
        input=image,
        output_dir=str(tmp_path / "members"),
        plan="fp32",
        checkpoint=str(finished / "fold0" / "model.pt"),
        **{"inferer#inferer#inferer#networks": members},
    )
    name = "case6_seg.nii.gz"
    assert (tmp_path / "overlay" / name).read_bytes() == (tmp_path / "members" / name).read_bytes()


def test_the_overlay_of_the_evaluation_gives_the_same_scores_again(
    dataset: Path, finished: Path, tmp_path: Path
) -> None:
    overlay = finished / "ensemble_evaluate.json"
    evaluate("evaluate.json", overlay, dataset_dir=str(dataset), output_dir=str(tmp_path), split="test")
    found = json.loads((tmp_path / "metrics.json").read_text())["cases"]
    dice = {(row["case"], row["structure"]): row["dice"] for row in found}
    rows = [row for row in rows_of(finished) if row["model"] == "ensemble"]
    assert {(row["case"], row["structure"]): float(row["dice"]) for row in rows} == pytest.approx(dice)


def test_the_page_lists_command_budget_and_figures(finished: Path) -> None:
    page = (finished / "crossval.md").read_text()
    content = read(finished)
    assert content["command"] in page
    assert "6 cases in 3 folds" in page
    assert f"{content['out_of_fold']['anterior']['dice']['mean']:.4f}" in page
    assert "On the 2 test cases, which no network was trained on" in page


@pytest.mark.slow
def test_killed_in_the_third_fold_and_started_again_it_ends_with_the_same_numbers(
    dataset: Path, finished: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads()), "PYTHONPATH": ROOT}
    command = [sys.executable, "-W", "ignore", "-c", KILLED, *words(dataset, output)]
    killed = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert [(output / f"fold{fold}" / "result.json").exists() for fold in range(3)] == [True, True, False]
    assert torch.load(output / "fold2" / "last.pt", weights_only=True)["epoch"] == 1

    assert run(dataset, output) == 0
    assert (output / "crossval.csv").read_bytes() == (finished / "crossval.csv").read_bytes()
    names = ("folds", "out_of_fold", "test", "failed", "skipped")
    assert {name: read(output)[name] for name in names} == {name: read(finished)[name] for name in names}
    first, second = (torch.load(place / "ensemble.pt", weights_only=True) for place in (output, finished))
    assert first.keys() == second.keys()
    assert all(torch.equal(value, second[key]) for key, value in first.items())


def test_a_finished_cross_validation_is_not_run_again(
    dataset: Path, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (finished / "crossval.csv").read_bytes(), read(finished)
    for name in ("run_fold", "evaluate"):
        monkeypatch.setattr(runs, name, lambda *_: pytest.fail("ran again"))
    assert run(dataset, finished) == 0
    assert ((finished / "crossval.csv").read_bytes(), read(finished)) == before


def test_a_changed_option_is_refused_by_its_name(
    dataset: Path, finished: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert run(dataset, finished, "--learning_rate", "0.1") == 2
    assert "train#learning_rate is 0.002 there and 0.1 here" in caplog.text


def test_a_fold_that_fails_is_recorded_and_only_it_is_run_again(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = runs.train

    def fail(plan: Any, fold: int, output: Path) -> None:
        if fold == 1:
            raise ArithmeticError("it broke")
        train(plan, fold, output)

    with monkeypatch.context() as patch:
        patch.setattr(runs, "train", fail)
        with pytest.raises(SystemExit) as end:
            run(dataset, tmp_path / "out", "--epochs", "1")
    assert end.value.code == 2
    assert read(tmp_path / "out")["failed"] == [{"run": "fold1", "error": "ArithmeticError: it broke"}]
    page = (tmp_path / "out" / "crossval.md").read_text()
    assert "- fold1 failed: ArithmeticError: it broke" in page
    assert "The ensemble was not scored: not all folds are completed." in page
    assert not (tmp_path / "out" / "ensemble.pt").exists()

    again: list[int] = []
    monkeypatch.setattr(runs, "train", lambda plan, fold, output: again.append(fold) or train(plan, fold, output))
    assert run(dataset, tmp_path / "out", "--epochs", "1") == 0
    assert again == [1]
    assert not (tmp_path / "out" / "fold1" / "error.txt").exists()
    assert (tmp_path / "out" / "ensemble.pt").is_file()


def test_without_test_cases_the_page_states_that_the_ensemble_was_not_scored(tmp_path: Path) -> None:
    folder = small_dataset(tmp_path / "data", count=3)
    write_nifti(folder / "images" / "case9.nii.gz", np.full((16, 16, 16), np.nan, np.float32))
    write_nifti(folder / "labels" / "case9.nii.gz", np.zeros((16, 16, 16), np.uint8))
    with pytest.raises(SystemExit) as end:
        run(folder, tmp_path / "out", "--folds", "2", "--epochs", "1")
    assert end.value.code == 2
    page = (tmp_path / "out" / "crossval.md").read_text()
    assert "not scored: no case lies outside the training of all folds" in page
    (message,) = read(tmp_path / "out")["skipped"]
    assert f"- a case was skipped: {message}" in page
    assert read(tmp_path / "out")["test"] is None
    assert (tmp_path / "out" / "ensemble.pt").is_file()


@pytest.mark.slow
def test_five_folds_on_two_workers_have_the_numbers_of_one_after_the_other(tmp_path: Path) -> None:
    folder = small_dataset(tmp_path / "data", count=5)
    for name, options in (("one", ()), ("two", ("--workers", "2"))):
        assert run(folder, tmp_path / name, "--folds", "5", *options) == 0
    one, two = (read(tmp_path / name) for name in ("one", "two"))
    for name in ("out_of_fold", "folds", "plan"):
        assert one[name] == two[name]
    assert rows_of(tmp_path / "one") == rows_of(tmp_path / "two")
    networks = [torch.load(tmp_path / name / "ensemble.pt", weights_only=True) for name in ("one", "two")]
    states = [network.get("model", network) for network in networks]
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())
