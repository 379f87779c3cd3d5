"""Parts of a config stand alone once they are frozen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

from bundle.workflow.frozen_config import freeze_ids, is_plain

CONFIG: dict[str, Any] = {
    "imports": ["$import torch"],
    "width": 4,
    "depth": "@width",
    "names": {"_target_": "builtins.dict", "ball": "@width"},
    "norm": {"_target_": "torch.nn.BatchNorm3d", "num_features": "@width"},
    "net": {"_target_": "torch.nn.Conv3d", "in_channels": 1, "out_channels": "@depth", "kernel_size": [3, 3, "@depth"]},
    "lists": {"layers": ["@norm", 2, "$@width * 2", "$torch.nn.ReLU"]},
}


def frozen(*ids: str) -> dict[str, Any]:
    return freeze_ids(ConfigParser(json.loads(json.dumps(CONFIG))), ids)


def test_references_among_the_ids_are_kept() -> None:
    assert frozen("width", "depth") == {"width": 4, "depth": "@width"}


def test_other_references_are_replaced_by_values() -> None:
    assert frozen("depth") == {"depth": 4}
    net = frozen("net")["net"]
    assert (net["out_channels"], net["kernel_size"]) == (4, [3, 3, 4])


def test_a_function_with_a_plain_result_is_replaced_by_it() -> None:
    assert frozen("names") == {"names": {"ball": 4}}


def test_other_components_are_replaced_by_their_definitions() -> None:
    norm = {"_target_": "torch.nn.BatchNorm3d", "num_features": 4}
    assert frozen("lists") == {"lists": {"layers": [norm, 2, 8, "$torch.nn.ReLU"]}}


def test_ids_that_a_config_lacks_are_skipped() -> None:
    assert frozen("width", "missing") == {"width": 4}


def test_values_are_plain_if_json_has_them() -> None:
    assert is_plain({"a": [1, (None, "x", 2.0)]})
    assert not is_plain({1: 2})
    assert not is_plain([Path()])
