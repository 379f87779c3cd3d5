"""What a cross-validation runs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from contracts import config as contract
from helpers.model_folders import CLASSES, write_model
from helpers.phantoms import write_case
from helpers.workflows import SMALL, small_dataset

from bundle import ROOT
from bundle.data.brats2018 import prepare_brats2018
from bundle.data.datalist_file import write_datalist
from bundle.experiments import ExperimentError
from bundle.experiments.crossval.crossval_plan import TRAIN, CrossvalPlan, plan_crossval
from bundle.phantoms.volumes.volume_phantoms import write_volume_phantoms
from bundle.workflow.model_settings import ModelSettingsError


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dataset")
    for number in range(7):
        write_case(folder, f"case{number}", (6, 6, 6))
    return folder


def plan_of(dataset: Path, **options: Any) -> CrossvalPlan:
    return plan_crossval(dataset, **{"overrides": SMALL, **options})


def write(folder: Path, *folds: int, test: int = 0) -> Path:
    items = [{"image": f"images/case{i}.nii.gz", "label": f"labels/case{i}.nii.gz"} for i in range(7)]
    training = [{**item, "fold": fold} for item, fold in zip(items, folds, strict=False)]
    path = folder / "list.json"
    path.write_text(json.dumps({"training": training, "test": items[len(items) - test :]}))
    return path


def image(number: int) -> str:
    return f"images/case{number}.nii.gz"


def test_folds_and_test_cases_are_those_of_the_datalist(dataset: Path, tmp_path: Path) -> None:
    plan = plan_of(dataset, datalist=write(tmp_path, 4, 1, 4, 1, 4, test=2))
    assert plan.folds == {1: [image(1), image(3)], 4: [image(0), image(2), image(4)]}
    assert plan.test == [image(5), image(6)]
    assert plan.new_datalist is None
    assert plan_of(dataset, datalist=write(tmp_path, 4, 1, 4, 1, 4, test=2), folds=2).folds == plan.folds


def test_the_datalist_of_a_plan_is_used_unless_another_is_passed(dataset: Path, tmp_path: Path) -> None:
    datalist = write(tmp_path, 4, 1, 4, 1, 4, test=2)
    overlay = tmp_path / "plan.json"
    overlay.write_text(json.dumps({"datalist": str(datalist)}))
    plan = plan_of(dataset, config_file=[TRAIN, overlay])
    assert (plan.datalist, plan.test) == (datalist, [image(5), image(6)])
    (tmp_path / "other").mkdir()
    other = write(tmp_path / "other", 0, 1, test=1)
    assert plan_of(dataset, config_file=[TRAIN, overlay], datalist=other).datalist == other


def test_five_folds_are_assigned_where_the_dataset_names_none(dataset: Path) -> None:
    plan = plan_of(dataset)
    assert sorted(len(images) for images in plan.folds.values()) == [1, 1, 1, 2, 2]
    assert plan.test == []


def test_new_folds_leave_the_test_cases_alone(dataset: Path, tmp_path: Path) -> None:
    plan = plan_of(dataset, datalist=write(tmp_path, 0, 1, 2, 0, 1, 2, test=1), split_seed=3, folds=2)
    assert sorted(image for images in plan.folds.values() for image in images) == [image(i) for i in range(6)]
    assert (len(plan.folds), plan.test) == (2, [image(6)])
    assert plan.new_datalist is not None
    assert plan.new_datalist["test"] == [{"image": image(6), "label": "labels/case6.nii.gz"}]


def test_the_held_out_fold_is_not_looked_at_in_training(dataset: Path) -> None:
    train = plan_of(dataset, epochs=7).configs["train"]
    assert (train["epochs"], train["val_interval"], train["early_stop"]) == (7, 8, None)


def test_the_budget_is_that_of_the_config_unless_one_is_given(dataset: Path) -> None:
    assert plan_of(dataset).epochs == json.loads(TRAIN.read_text())["epochs"]


def test_an_override_reaches_all_configs_that_know_its_id(dataset: Path) -> None:
    overrides = {**SMALL, "attention": "se", "overlap": 0.5, "learning_rate": 0.1, "confidence": ["margin"]}
    configs = plan_of(dataset, overrides=overrides).configs
    assert [config["attention"] for config in configs.values()] == ["se"] * 3
    assert [config["network_def"]["channels"] for config in configs.values()] == [[4, 8]] * 3
    assert "overlap" not in configs["train"]
    assert configs["evaluation"]["overlap"] == configs["inference"]["overlap"] == 0.5
    assert "learning_rate" not in configs["inference"]


def test_scores_are_in_float32_unless_a_plan_is_named(dataset: Path) -> None:
    assert plan_of(dataset).configs["evaluation"]["plan"] == "fp32"
    assert plan_of(dataset, overrides={**SMALL, "plan": "bf16"}).configs["evaluation"]["plan"] == "bf16"


def test_overlays_reach_all_three_workflows(dataset: Path) -> None:
    files = [TRAIN, Path(ROOT, "configs", "networks", "vnet.json")]
    overrides = {"network_def#channels": [2, 4], "network_def#levels#convs": [1]}
    configs = plan_of(dataset, config_file=files, overrides=overrides).configs
    assert {config["network_def"]["_target_"] for config in configs.values()} == {"bundle.networks.AttentionVNet"}


def test_evaluation_and_inference_can_be_named(dataset: Path, tmp_path: Path) -> None:
    path = tmp_path / "evaluate.json"
    content = contract.read("evaluate.json")
    path.write_text(json.dumps({**content, "nsd_tolerance_mm": 3.0}))
    plan = plan_of(dataset, evaluation_file=[path], inference_file=[Path(ROOT, "configs", "inference.json")])
    assert plan.configs["evaluation"]["nsd_tolerance_mm"] == 3.0


def test_a_config_without_early_stopping_will_do(dataset: Path, tmp_path: Path) -> None:
    content = json.loads(TRAIN.read_text())
    del content["early_stop"]
    path = tmp_path / "train.json"
    path.write_text(json.dumps(content))
    files = {f"{name}_file": [Path(ROOT, "configs", file)] for name, file in (("evaluation", "evaluate.json"),)}
    inference = [Path(ROOT, "configs", "inference.json")]
    plan = plan_of(dataset, config_file=[path], inference_file=inference, **files)
    assert "early_stop" not in plan.configs["train"]


def test_the_plan_holds_all_that_decides_the_result(dataset: Path, tmp_path: Path) -> None:
    plan = plan_of(dataset, datalist=write(tmp_path, 0, 1, 0, 1, test=1), epochs=2)
    content = plan.content()
    assert content["folds"] == {"0": [image(0), image(2)], "1": [image(1), image(3)]}
    assert {"train", "evaluation", "inference", "versions", "nproc", "test"} <= content.keys()
    assert json.loads(json.dumps(content)) == content


@pytest.mark.parametrize("overlays", [["brats2018"], ["brats2018", "brats2018_published"]])
def test_every_protocol_of_a_dataset_is_cross_validated_alike(overlays: list[str], tmp_path: Path) -> None:
    """The published one trains on all cases, and watches the test set."""
    write_volume_phantoms("brats2018", tmp_path, layout="original", count=5, size=24)
    write_datalist(prepare_brats2018(tmp_path, folds=2), tmp_path / "dataset.json")
    files = [TRAIN, *(Path(ROOT, "configs", "datasets", f"{name}.json") for name in overlays)]
    plan = plan_crossval(tmp_path, config_file=files, folds=2, split_seed=0)
    train = plan.configs["train"]
    assert (train["validation_split"], train["val_interval"]) == ("validation", plan.epochs + 1)
    assert plan.epochs == contract.read(f"datasets/{overlays[-1]}.json")["epochs"]
    assert sum(len(images) for images in plan.folds.values()) + len(plan.test) == 5


def test_folds_have_no_operating_point_of_the_shipped_weights(tmp_path: Path) -> None:
    contract.TASKS["lesion_classification"].write(tmp_path / "data", 12)
    task = {"config_file": [Path(ROOT, "configs", "lesion_classification", "train.json")]}
    configs = plan_crossval(tmp_path / "data", **task).configs
    assert {configs[name]["thresholds"] for name in ("evaluation", "inference")} == {0.5}
    assert {configs[name]["temperature"] for name in ("evaluation", "inference")} == {1.0}
    own = plan_crossval(tmp_path / "data", **task, overrides={"thresholds": 0.3}).configs
    assert own["evaluation"]["thresholds"] == 0.3


@pytest.mark.parametrize("task", contract.TASKS)
def test_every_task_can_be_planned(task: str, tmp_path: Path) -> None:
    contract.TASKS[task].write(tmp_path, 6)
    plan = plan_crossval(tmp_path, config_file=[Path(ROOT, "configs", task, "train.json")], epochs=1)
    assert sum(len(images) for images in plan.folds.values()) == 6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"folds": 0}, "^folds must be an integer, 1 or more, got 0"),
        ({"epochs": 1.5}, "^epochs must be an integer, 1 or more, got 1.5"),
        ({"nproc": 0}, "^nproc must be an integer"),
        ({"folds": 8}, "^folds must lie between 1 and the 7 folds"),
        ({"config_file": ["no.json"]}, r"^config_file no\.json does not exist"),
        ({"evaluation_file": [TRAIN]}, r"^evaluation_file .*train\.json has no split, dataset#data, which"),
        ({"overrides": {"seeed": 1}}, r"^seeed: is neither .*inference\.json; did you mean seed\?"),
        ({"overrides": {"early_stop": 1}}, "^early_stop: is set by the cross-validation"),
        ({"overrides": {"attention": "pan"}}, "^network_def: attention 'pan' is unknown"),
    ],
)
def test_what_cannot_be_run_is_refused(options: dict[str, Any], message: str, dataset: Path) -> None:
    with pytest.raises(ExperimentError, match=message):
        plan_of(dataset, **options)


def test_a_number_of_folds_that_is_not_that_of_the_datalist_is_refused(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match=r"^folds: .*list\.json names 3 folds, and 2 are requested; omit"):
        plan_of(dataset, datalist=write(tmp_path, 0, 1, 2), folds=2)


def test_one_fold_alone_is_refused(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match=r"^folds: .*list\.json has 1, and two are needed"):
        plan_of(dataset, datalist=write(tmp_path, 3, 3))


def test_a_dataset_that_cannot_be_used_is_recorded_plainly(dataset: Path) -> None:
    with pytest.raises(ExperimentError, match=r"^dataset#data: nowhere\.json: cannot be read"):
        plan_of(dataset, datalist="nowhere.json")


def test_an_evaluation_that_cannot_list_its_cases_is_recorded(dataset: Path) -> None:
    with pytest.raises(ExperimentError, match="unexpected keyword argument 'depth'"):
        plan_of(dataset, overrides={**SMALL, "dataset#data#depth": 3})


def test_a_model_folder_gives_the_settings_of_all_folds(tmp_path: Path) -> None:
    write_model(tmp_path / "m")
    plan = plan_crossval(small_dataset(tmp_path), split_seed=0, folds=2, model=tmp_path / "m")
    for config in plan.configs.values():
        assert config["label_names"] == CLASSES
        assert config["checkpoint"] != str(tmp_path / "m" / "model.pt")
    with pytest.raises(ModelSettingsError, match="roi_size is"):
        plan_crossval(tmp_path, split_seed=0, folds=2, model=tmp_path / "m", overrides={"roi_size": [8, 8, 8]})


def test_a_model_folder_of_another_task_is_refused(tmp_path: Path) -> None:
    replace(write_model(tmp_path / "m"), task="cells").write()
    with pytest.raises(ExperimentError, match="is of the task cells, not volumes"):
        plan_crossval(tmp_path, model=tmp_path / "m")
