"""A training leaves a model folder, with which the other workflows need no further option."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from contracts import config as contract
from helpers.workflows import SMALL, command_line, run_workflow, small_dataset
from monai.bundle import create_workflow

CLASSES = {"ball": 1, "shell": 2}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    small_dataset(folder)
    options = {"dataset_dir": str(folder), "output_dir": str(folder / "model"), "epochs": 1, "attention": "se"}
    run_workflow("train.json", label_names=CLASSES, pixdim=[2.0, 2.0, 2.0], **options)
    return folder


def run(config: str, **options: Any) -> None:
    """Run a workflow without the options of tests, as a user does."""
    kind = "train" if config.endswith("train.json") else "infer"
    file = str(contract.CONFIGS / config)
    workflow = create_workflow(config_file=file, workflow_type=kind, logging_file=False, **{"device": "cpu", **options})
    workflow.run()
    workflow.finalize()


def test_an_evaluation_with_the_folder_equals_one_with_all_options(trained: Path) -> None:
    data, model = {"dataset_dir": str(trained), "plan": "fp32"}, trained / "model"
    run("evaluate.json", **data, model=str(model), output_dir=str(trained / "by_model"))
    options = {"attention": "se", "label_names": CLASSES, "pixdim": [2.0, 2.0, 2.0], **SMALL}
    options |= {"checkpoint": str(model / "model.pt"), "output_dir": str(trained / "by_options")}
    run("evaluate.json", **data, **options)
    found, wanted = ((trained / name / "metrics.csv").read_text() for name in ("by_model", "by_options"))
    assert found == wanted


def test_an_inference_takes_the_folder(trained: Path) -> None:
    options = {"input": str(trained / "images"), "output_dir": str(trained / "predicted")}
    run("inference.json", model=str(trained / "model"), **options)
    record = json.loads((trained / "predicted" / "case0.json").read_text())
    assert {name: label["value"] for name, label in record["labels"].items()} == CLASSES
    assert record["checkpoint"]["path"] == str(trained / "model" / "model.pt")


def test_a_training_starts_from_the_folder(trained: Path) -> None:
    options = {"dataset_dir": str(trained), "output_dir": str(trained / "further"), "epochs": 1}
    run("train.json", model=str(trained / "model"), **options)
    first, further = (json.loads((trained / name / "model.json").read_text()) for name in ("model", "further"))
    assert further["settings"] == first["settings"]


def test_the_folder_records_the_training(trained: Path) -> None:
    content = json.loads((trained / "model" / "model.json").read_text())
    assert content["task"] == "volumes"
    assert content["training"]["epoch"] == 1
    assert content["training"]["training_cases"].keys() == {"case0", "case1", "case3", "case4"}
    assert 0 <= content["training"]["metric"]["val_mean_dice"] <= 1


def test_options_that_differ_from_the_model_are_refused_in_one_line(trained: Path) -> None:
    places = {"dataset_dir": trained, "output_dir": trained / "refused", "model": trained / "model"}
    options = [word for name, place in places.items() for word in (f"--{name}", str(place))]
    words = ["run", "--config_file", "configs/evaluate.json", *options, "--pixdim", "[1.0, 1.0, 1.0]"]
    result = command_line("monai.bundle", *words, python=("-W", "ignore"))
    assert result.returncode == 2
    last = result.stdout.splitlines()[-1]
    assert "pixdim is [2.0, 2.0, 2.0] there and [1.0, 1.0, 1.0] here" in last
    assert "Traceback" not in result.stdout
    assert not (trained / "refused").exists()


@pytest.mark.parametrize("workflow", contract.TASK_WORKFLOWS, ids="/".join)
def test_a_misspelt_option_is_refused_in_every_workflow(workflow: tuple[str, str], tmp_path: Path) -> None:
    config = str(contract.CONFIGS / workflow[0] / f"{workflow[1]}.json")
    kind = "train" if workflow[1] == "train" else "infer"
    with pytest.raises(RuntimeError) as caught:
        create_workflow(config_file=config, workflow_type=kind, logging_file=False, chekpoint="x.pt")
    assert "--chekpoint is no option of this workflow: did you mean --checkpoint?" in str(caught.value.__cause__)


def test_a_second_training_is_refused_continued_or_replaces_the_first(trained: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"dataset_dir": str(trained), "output_dir": str(tmp_path), "label_names": CLASSES}
    run_workflow("train.json", epochs=1, **options)
    first = (tmp_path / "model.pt").read_bytes()
    with pytest.raises(RuntimeError) as caught:
        run_workflow("train.json", epochs=1, **options)
    assert "holds a training already (last.pt, model.pt, model.json)" in str(caught.value.__cause__)
    assert (tmp_path / "model.pt").read_bytes() == first
    run_workflow("train.json", epochs=2, resume=True, **options)
    run_workflow("train.json", epochs=1, overwrite=True, seed=1, **options)
    assert json.loads((tmp_path / "model.json").read_text())["training"]["seed"] == 1
