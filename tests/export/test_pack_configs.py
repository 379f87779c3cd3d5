from __future__ import annotations

import copy
from typing import Any

from contracts import config as contract

from bundle.export.pack_configs import PUBLISH, RESPONSES, ROOT_FINDER, adapt_config, rewrite_paths


def test_folders_of_a_further_task_become_those_of_a_pack() -> None:
    text = "configs/a/train.json models/a/model.pt runs/a/x myconfigs/a/b configs/ab/c configs/a"
    assert rewrite_paths(text, "a") == "configs/train.json models/model.pt runs/x myconfigs/a/b configs/ab/c configs/a"
    assert rewrite_paths(text, ".") == text


def test_the_config_that_is_adapted_stays_as_it_was() -> None:
    config = contract.read("train.json")
    before = copy.deepcopy(config)
    adapt_config("train.json", config)
    assert config == before


def test_a_training_follows_the_epochs_that_a_server_sets_and_publishes_its_weights() -> None:
    config = adapt_config("train.json", contract.read("train.json"))
    assert config["lr_scheduler"]["epochs"] == "@train#trainer#max_epochs"
    assert config["train"]["trainer"]["max_epochs"] == "@epochs"
    assert config["train"]["handlers"][-1] == PUBLISH
    ids = list(config)
    assert ids.index("published") == ids.index("output_dir") + 1


def test_handlers_of_a_training_are_resolved() -> None:
    counter = {"_target_": "bundle.training.Counter", "loss": "@loss"}
    config: dict[str, Any] = {
        "output_dir": "",
        "counter": counter,
        "train": {"trainer": {"max_epochs": 1}, "handlers": ["@counter", {"_target_": "Other"}]},
    }
    adapted = adapt_config("train.json", config)
    assert adapted["train"]["handlers"] == [counter, {"_target_": "Other"}, PUBLISH]
    assert adapted["counter"] == counter


def test_a_schedule_with_a_fixed_length_is_unchanged() -> None:
    config: dict[str, Any] = {
        "output_dir": "",
        "lr_scheduler": {"epochs": 7},
        "train": {"trainer": {"max_epochs": "@epochs"}, "handlers": []},
    }
    assert adapt_config("train.json", config)["lr_scheduler"] == {"epochs": 7}


def test_a_server_gets_the_steps_that_make_a_result_without_those_that_write_files() -> None:
    volumes = adapt_config("inference.json", contract.read("inference.json"))
    assert volumes["post_transforms"]["transforms"] == ["@postprocessing#transforms#0"]
    assert volumes["postprocessing"] == contract.read("inference.json")["postprocessing"]
    discs = adapt_config("inference.json", contract.read("disc_labeling/inference.json"))
    response = RESPONSES["bundle.tasks.spine.SaveDiscsd"]
    assert discs["post_transforms"]["transforms"] == ["@postprocessing#transforms#0", response]
    assert "displayable_configs" not in volumes


def test_masks_are_made_by_the_step_that_would_write_them_and_are_png() -> None:
    steps = ["@activation", {"_target_": "bundle.tasks.images.SaveMaskd"}, {"_target_": "x.SaveAll"}]
    lesions = adapt_config("inference.json", {"postprocessing": {"transforms": steps}})
    target = "bundle.tasks.images.MaskResponsed"
    assert lesions["post_transforms"]["transforms"] == [
        "@postprocessing#transforms#0",
        {"_target_": target, "keys": "pred", "saver": "@postprocessing#transforms#1"},
    ]
    assert lesions["displayable_configs"] == {"result_extension": ".png"}


def test_the_root_of_a_pack_is_looked_for() -> None:
    for name in ("train.json", "evaluate.json", "inference.json"):
        assert adapt_config(name, contract.read(name))["bundle_root"] == ROOT_FINDER
    assert "bundle_root" not in adapt_config("networks/vnet.json", contract.read("networks/vnet.json"))


def test_the_package_is_imported_only_where_an_expression_needs_it() -> None:
    assert adapt_config("train.json", contract.read("train.json"))["imports"] == []
    assert "$import bundle" in adapt_config("inference.json", contract.read("inference.json"))["imports"]
    overlay = adapt_config("multi_gpu_train.json", contract.read("multi_gpu_train.json"))
    assert overlay["imports"] == ["$import os", "$import torch.distributed as dist"]


def test_regions_are_found_after_a_training_replaced_the_weights() -> None:
    config = contract.read("inference.json")
    assert adapt_config("inference.json", config)["find_regions"] == "auto"
    adapted = adapt_config("inference.json", config, finds_regions=True)
    assert adapted["find_regions"] is adapted["measure_features"] is True
    assert "find_regions" not in adapt_config("train.json", contract.read("train.json"), finds_regions=True)
