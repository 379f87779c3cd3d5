"""Options of the panel and their overrides of a config."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bundle.server.label_tasks import TASKS, LabelTask
from bundle.server.panel_options import get_consecutive_values, get_overrides, get_panel_options
from bundle.server.server_errors import RequestError

VOLUMES, DISCS = TASKS[:2]


@pytest.fixture
def images_2d(tmp_path: Path) -> LabelTask:
    """A task for 2D images like configs/lesion_segmentation."""
    import json

    config = {
        "threshold": 0.5,
        "overlap": 0.25,
        "single_region": False,
        "label_names": {"lesion": 1},
        "postprocessing": {"transforms": [{"_target_": "bundle.tasks.images.SaveMaskd"}]},
    }
    task = replace(TASKS[2], root=tmp_path)
    task.config_dir.mkdir(parents=True)
    (task.config_dir / "inference.json").write_text(json.dumps(config))
    return task


def test_the_panel_follows_from_the_config(images_2d: LabelTask) -> None:
    shared = {"mirror": False, "largest_component": False, "consecutive_values": True}
    assert get_panel_options(VOLUMES) == {"overlap": 0.25, **shared}
    assert get_panel_options(DISCS) == {"consecutive_values": True}
    assert get_panel_options(images_2d) == {"overlap": 0.25, "threshold": 0.5, "largest_component": False}


def test_defaults_and_unknown_options_change_nothing(images_2d: LabelTask) -> None:
    assert get_overrides(VOLUMES, {"mirror": False, "largest_component": "false", "logging": "INFO"}) == {}
    assert get_overrides(DISCS, {"overlap": 0.5, "mirror": True, "largest_component": True}) == {}
    assert get_overrides(images_2d, {"mirror": True, "threshold": None}) == {}


def test_options_become_overrides_of_the_config(images_2d: LabelTask) -> None:
    assert get_overrides(VOLUMES, {"overlap": "0.5", "mirror": "true"}) == {"overlap": 0.5, "mirror_axes": [0]}
    assert get_overrides(images_2d, {"threshold": 0.3, "largest_component": 1}) == {
        "threshold": 0.3,
        "single_region": True,
    }


def test_mirroring_in_a_config_can_be_disabled(tmp_path: Path) -> None:
    task = replace(VOLUMES, root=tmp_path)
    task.__dict__["config"] = {**VOLUMES.config, "mirror_axes": [0]}
    assert get_panel_options(task)["mirror"] is True
    assert get_overrides(task, {"mirror": False}) == {"mirror_axes": []}


def test_the_largest_component_is_selected_before_the_label_map_is_saved() -> None:
    transforms: list[dict[str, Any]] = get_overrides(VOLUMES, {"largest_component": True})["postprocessing#transforms"]
    targets = [step["_target_"] for step in transforms]
    assert targets == [
        "bundle.grid.SplitConfidenceMapsd",
        "KeepLargestConnectedComponentd",
        "bundle.inference.SaveSegmentationd",
    ]
    assert transforms[1]["applied_labels"] == [1, 2, 11, 12, 21, 22]
    assert len(VOLUMES.config["postprocessing"]["transforms"]) == 2


@pytest.mark.parametrize("value", ["x", 1, -0.1, [], {}, "nan"])
def test_fractions_outside_0_and_1_are_refused(value: Any) -> None:
    with pytest.raises(RequestError, match="overlap must be a number, 0 or more and below 1, got"):
        get_overrides(VOLUMES, {"overlap": value})


def test_switches_are_booleans_or_text() -> None:
    assert get_overrides(VOLUMES, {"mirror": "True"}) == {"mirror_axes": [0]}
    assert get_overrides(VOLUMES, {"mirror": 0}) == {}
    with pytest.raises(RequestError, match="mirror must be true or false"):
        get_overrides(VOLUMES, {"mirror": "perhaps"})


def test_values_are_consecutive_if_requested(images_2d: LabelTask) -> None:
    names = {"b": 21, "a": 12}
    assert get_consecutive_values(VOLUMES, {"consecutive_values": "true"}, names) == {12: 1, 21: 2}
    assert get_consecutive_values(VOLUMES, {}, names) is None
    assert get_consecutive_values(images_2d, {"consecutive_values": True}, names) is None
    with pytest.raises(RequestError, match="consecutive_values must be true or false"):
        get_consecutive_values(VOLUMES, {"consecutive_values": "perhaps"}, names)
