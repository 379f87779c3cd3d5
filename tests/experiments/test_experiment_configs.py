"""Configs of an experiment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bundle.data import DatalistError
from bundle.experiments import ExperimentError, load_configs, override_configs, resolved
from bundle.experiments.experiment_configs import use_dataset_names


def write(folder: Path, name: str, content: dict[str, Any]) -> Path:
    path = folder / name
    path.write_text(json.dumps(content))
    return path


def override(configs: list[dict[str, Any]], pairs: dict[str, Any]) -> None:
    override_configs(configs, pairs, reserved=["fold"], files=["a.json", "b.json"], kind="trial")


def test_overlays_change_what_comes_before(tmp_path: Path) -> None:
    files = [write(tmp_path, "a.json", {"x": 1, "y": {"z": 2}}), write(tmp_path, "b.json", {"y#z": 3})]
    assert load_configs("config_file", files, ["x", "y#z"], "trial") == {"x": 1, "y": {"z": 3}}


def test_a_config_must_be_there_and_have_what_is_needed(tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match=r"^config_file no\.json does not exist"):
        load_configs("config_file", ["no.json"], [], "trial")
    file = write(tmp_path, "a.json", {"x": 1})
    with pytest.raises(ExperimentError, match=r"^config_file .*a\.json has no y, z#u, which the trial needs"):
        load_configs("config_file", [file], ["x", "y", "z#u"], "trial")


def test_an_override_is_set_where_its_id_is_known() -> None:
    first, second = {"a": 1, "b": {"_target_": "t", "c": 1}}, {"a": 2, "d": {"e": 1}}
    override([first, second], {"a": [3], "b#new": 4, "d#e": 5})
    assert first == {"a": [3], "b": {"_target_": "t", "c": 1, "new": 4}}
    assert second == {"a": [3], "d": {"e": 5}}
    assert first["a"] is not second["a"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("fold", "^fold: is set by the trial and cannot be overridden"),
        ("fold#x", "^fold#x: is set by the trial"),
        ("rat", r"^rat: is neither an option nor an id of a\.json or b\.json; did you mean rate\?"),
        ("qqqq", r"b\.json\.$"),
        ("names#third", "^names#third: is neither"),
    ],
)
def test_what_cannot_be_overridden_is_refused(name: str, message: str) -> None:
    with pytest.raises(ExperimentError, match=message):
        override([{"rate": 1}, {"names": {"first": 1}}], {name: 1})


def test_an_id_is_resolved_with_other_values_and_the_config_left_alone() -> None:
    config = {"a": 1, "b": "$@a + 1"}
    assert resolved(config, "b") == 2
    assert resolved(config, "b", a=4) == 5
    assert config == {"a": 1, "b": "$@a + 1"}


def test_what_cannot_be_resolved_is_recorded_by_its_cause() -> None:
    with pytest.raises(ExperimentError, match=r"^b: division by zero"):
        resolved({"b": "$1 / 0"}, "b")


def test_a_fault_of_the_dataset_is_recorded_as_such() -> None:
    config = {"b": {"_target_": "bundle.data.load_datalist", "dataset_dir": ".", "datalist": "nowhere.json"}}
    with pytest.raises(ExperimentError, match=r"^b: nowhere\.json: cannot be read"):
        resolved(config, "b")


def test_the_names_of_a_dataset_are_carried_over(tmp_path: Path) -> None:
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "liver": 1, "ignore": 2}}))
    data = {"dataset_dir": str(tmp_path), "datalist": None}
    start = {"_target_": "bundle.workflow.StartWorkflow", "names": {"default": {"a": 1}}}
    train: dict[str, Any] = {"label_names": {"a": 1}, "label_values": None, "ignore_label": None, "initialize": [start]}
    evaluation: dict[str, Any] = {"label_names": {"a": 1}, "ignore_label": None}
    use_dataset_names(train, [evaluation], data, {})
    assert (train["label_names"], train["ignore_label"]) == ({"liver": 1}, 2)
    assert evaluation == {"label_names": {"liver": 1}, "ignore_label": 2}
    use_dataset_names(train, [evaluation], data, {})
    assert evaluation["label_names"] == {"liver": 1}
    with pytest.raises(DatalistError, match=r"label_names are \{'a': 1\}"):
        use_dataset_names({**train, "label_names": {"a": 1}}, [], data, {"label_names": {"a": 1}})


def test_a_task_without_names_is_left_alone(tmp_path: Path) -> None:
    for train in ({"initialize": ["$None", {"_target_": "x"}]}, {}):
        before = dict(train)
        use_dataset_names(train, [], {"dataset_dir": str(tmp_path), "datalist": None}, {})
        assert train == before
