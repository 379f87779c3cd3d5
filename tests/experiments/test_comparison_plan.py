from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.workflows import SMALL, small_dataset

from bundle import ROOT
from bundle.attention import Attention
from bundle.experiments import ExperimentError
from bundle.experiments.compare.comparison_plan import ComparisonPlan, Run, build_network, plan_comparison

TRAIN = Path(ROOT, "configs", "train.json")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_dataset(tmp_path_factory.mktemp("dataset"), count=7)


def plan_of(dataset: Path, **options: Any) -> ComparisonPlan:
    return plan_comparison(dataset, **{"attention": [None, "se"], "overrides": SMALL, **options})


def folds_of(plan: ComparisonPlan) -> dict[str, int]:
    return {case["image"]: case["fold"] for case in plan.datalist["training"]}


def write_datalist(folder: Path, folds: int = 3) -> Path:
    items = [{"image": f"images/case{i}.nii.gz", "label": f"labels/case{i}.nii.gz"} for i in range(7)]
    training = [{**item, "fold": i % folds} for i, item in enumerate(items[:6])]
    path = folder / "list.json"
    path.write_text(json.dumps({"training": training, "test": items[6:]}))
    return path


def test_mechanisms_take_turns_within_a_seed_and_seeds_within_a_fold(dataset: Path) -> None:
    runs = plan_of(dataset, folds=2, seeds=2).runs()
    assert [run.name for run in runs[:5]] == [
        "fold0_seed0_none",
        "fold0_seed0_se",
        "fold0_seed1_none",
        "fold0_seed1_se",
        "fold1_seed0_none",
    ]
    assert len(runs) == 8


def test_a_mechanism_with_options_has_a_separate_label_and_folder(dataset: Path) -> None:
    plan = plan_of(dataset, attention=[None, "pam", ("pam", {"key_gradient": False, "slice_reduction": 2})])
    label = "pam key_gradient=false, slice_reduction=2"
    assert list(plan.attention) == ["none", "pam", label]
    assert Run(0, 1, label).name == "fold0_seed1_pam-key_gradient=false-slice_reduction=2"


def test_folds_are_assigned_evenly_where_the_dataset_names_none(dataset: Path) -> None:
    assert sorted(Counter(folds_of(plan_of(dataset, folds=3)).values()).items()) == [(0, 3), (1, 2), (2, 2)]
    assert folds_of(plan_of(dataset, folds=3)) == folds_of(plan_of(dataset, folds=3))


def test_folds_of_the_datalist_are_kept_and_its_test_cases_are_not_touched(dataset: Path, tmp_path: Path) -> None:
    plan = plan_of(dataset, datalist=write_datalist(tmp_path), folds=2)
    assert folds_of(plan) == {f"images/case{i}.nii.gz": i % 3 for i in range(6)}
    assert plan.folds == [0, 1]
    assert (plan.content()["cases"], plan.content()["training_cases"]) == (4, [4, 4])


def test_a_split_seed_deals_new_folds(dataset: Path, tmp_path: Path) -> None:
    datalist = write_datalist(tmp_path)
    first, second = (folds_of(plan_of(dataset, datalist=datalist, folds=2, split_seed=seed)) for seed in (0, 1))
    assert Counter(first.values()) == Counter(second.values()) == {0: 3, 1: 3}
    assert first != second
    assert first.keys() == {f"images/case{i}.nii.gz" for i in range(6)}


def test_the_budget_is_that_of_the_config_or_the_option(dataset: Path) -> None:
    assert plan_of(dataset).epochs == json.loads(TRAIN.read_text())["epochs"]
    plan = plan_of(dataset, epochs=7)
    assert (plan.epochs, plan.train["epochs"]) == (7, 7)


def test_the_held_out_fold_is_not_looked_at_in_training(dataset: Path) -> None:
    plan = plan_of(dataset, epochs=7)
    assert plan.train["val_interval"] > 7
    assert plan.train["early_stop"] is None


def test_an_override_reaches_both_configs_and_components_take_new_arguments(dataset: Path) -> None:
    overrides = {
        **SMALL,
        "network_def#levels": {"convs": 1},
        "overlap": 0.5,
        "pixdim": [2.0, 2.0, 2.0],
        "optimizer::eps": 1e-6,
    }
    plan = plan_of(dataset, overrides=overrides)
    assert plan.train["network_def"]["levels"] == plan.evaluation["network_def"]["levels"] == {"convs": 1}
    assert plan.evaluation["overlap"] == 0.5
    assert "overlap" not in plan.train
    assert plan.train["pixdim"] == plan.evaluation["pixdim"] == [2.0, 2.0, 2.0]
    assert plan.train["optimizer"]["eps"] == 1e-6


def test_all_mechanisms_are_scored_in_float32_unless_a_plan_is_named(dataset: Path) -> None:
    assert plan_of(dataset).evaluation["plan"] == "fp32"
    assert plan_of(dataset, overrides={**SMALL, "plan": "bf16"}).evaluation["plan"] == "bf16"


def test_overlays_swap_the_network(dataset: Path) -> None:
    files = [TRAIN, Path(ROOT, "configs", "networks", "vnet.json")]
    overrides = {"network_def#channels": [2, 4], "network_def#levels#convs": [1], "roi_size": [16, 16, 16]}
    plan = plan_of(dataset, config_file=files, overrides=overrides)
    assert type(build_network(plan, "se")).__name__ == "AttentionVNet"


def test_a_config_without_early_stopping_will_do(dataset: Path, tmp_path: Path) -> None:
    content = json.loads(TRAIN.read_text())
    del content["early_stop"]
    path = tmp_path / "train.json"
    path.write_text(json.dumps(content))
    assert "early_stop" not in plan_of(dataset, config_file=[path]).train


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"folds": 0}, "^folds must be an integer, 1 or more, got 0"),
        ({"seeds": 0}, "^seeds must be an integer"),
        ({"epochs": 1.5}, "^epochs must be an integer, 1 or more, got 1.5"),
        ({"folds": 1}, "^two folds are needed .* with --folds 1 .* are in 1; pass"),
        ({"folds": 8}, "^folds must lie between 1 and the 7 folds .* got 8; pass --split_seed 0"),
        ({"attention": ["se"]}, "^attention se lacks 'none'"),
        ({"attention": [None, "se", "se"]}, "^attention names se more than once"),
        ({"attention": [None, "pan"]}, "'pan' is unknown; choose one of"),
        ({"attention": [None, ("se", {"reduction": 0})]}, "'se reduction=0' cannot be built: reduction must be"),
        ({"attention": [None, ["se"]]}, r"^attention must be names or pairs \[name, \{options\}\], got \['se'\]"),
        ({"attention": [None, 3]}, "^attention must be names or pairs .*, got 3"),
        ({"config_file": ["no.json"]}, "^config_file no.json does not exist"),
        ({"evaluation_file": [TRAIN]}, "^evaluation_file .*train.json has no split, which the comparison needs"),
        (
            {"overrides": {"learning_rat": 1}},
            r"^learning_rat: is neither .*train.json or .*did you mean learning_rate\?",
        ),
        ({"overrides": {"zzz#zzz": 1}}, r"^zzz#zzz: is neither an option nor an id of .*evaluate.json\.$"),
        ({"overrides": {"label_names#third": 3}}, "^label_names#third: is neither"),
        ({"overrides": {"val_interval": 1}}, "^val_interval: is set by the comparison and cannot be overridden"),
        ({"overrides": {"network#checkpoint": "a.pt"}}, "^network#checkpoint: is set by the comparison"),
    ],
)
def test_what_cannot_be_compared_is_refused(options: dict[str, Any], message: str, dataset: Path) -> None:
    with pytest.raises(ExperimentError, match=message):
        plan_of(dataset, **options)


class Wide(torch.nn.Module):
    """A network that attention makes wider."""

    def __init__(self, attention: Any) -> None:
        super().__init__()
        self.conv = torch.nn.Conv3d(1, 2 if attention is None else 3, 1)


def test_attention_that_changes_other_weights_is_refused(dataset: Path) -> None:
    network = {"_target_": "test_comparison_plan.Wide", "attention": "@attention", "out_channels": 3}
    with pytest.raises(ExperimentError, match="unexpected keyword argument"):
        plan_of(dataset, overrides={"network_def": network})
    del network["out_channels"]
    with pytest.raises(ExperimentError, match=r"attention 'se' does not only add weights to the network: conv\.bias"):
        plan_of(dataset, overrides={"network_def": network})


@pytest.mark.parametrize("name", sorted(name.lower() for name in set(Attention.names) - {"SPLIT", "DUAL"}))
def test_networks_differ_in_the_weights_of_the_attention_alone(name: str, dataset: Path) -> None:
    plan = plan_of(dataset, attention=[None, name])
    plain, network = build_network(plan, "none", 3).state_dict(), build_network(plan, name, 3).state_dict()
    assert plain.keys() < network.keys()
    assert all(torch.equal(value, network[key]) for key, value in plain.items())
    assert any(not torch.equal(value, plain[key]) for key, value in build_network(plan, "none", 4).state_dict().items())
