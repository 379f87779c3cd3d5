from __future__ import annotations

import json
import math
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import entropy

from bundle.io import BadInputError
from bundle.server.label_tasks import TASKS, LabelTask
from bundle.server.uncertainty import (
    UncertaintyEstimator,
    get_score_type,
    normalized_entropy,
    score_image,
    stored_value,
)


@pytest.fixture
def task(tmp_path: Path) -> LabelTask:
    return replace(TASKS[0], work=tmp_path / "work")


class Store:
    """Info of images, like MONAI Label's datastore."""

    def __init__(self, **files: str) -> None:
        self.files = files
        self.info: dict[str, dict[str, Any]] = {name: {"ts": 1} for name in files}

    def get_image_uri(self, name: str) -> str:
        return self.files[name]

    def get_image_info(self, name: str) -> dict[str, Any]:
        return self.info[name]

    def update_image_info(self, name: str, info: dict[str, Any]) -> None:
        self.info[name].update(info)


def test_entropy_of_exclusive_classes_is_divided_by_its_maximum() -> None:
    scores = torch.randn(2, 5, 3, 4, 2, generator=torch.manual_seed(0))
    chances = np.exp(scores.double().numpy())
    expected = entropy(chances, axis=1) / math.log(5)
    assert torch.allclose(normalized_entropy(scores, "softmax")[:, 0].double(), torch.as_tensor(expected), atol=1e-6)
    assert torch.allclose(normalized_entropy(torch.zeros(1, 5, 2), "softmax"), torch.ones(1, 1, 2))


@pytest.mark.parametrize("kind", ["sigmoid", "softmax"])
def test_one_class_is_compared_with_the_background(kind: str) -> None:
    scores = torch.randn(1, 1, 6, 7, generator=torch.manual_seed(1)).double()
    chance = 1 / (1 + np.exp(-scores.numpy()))
    expected = entropy(np.stack([chance, 1 - chance]), base=2)
    assert np.allclose(normalized_entropy(scores, kind).numpy(), expected, atol=1e-6)


def test_the_entropy_of_a_heat_map_is_that_of_its_peak() -> None:
    maps = torch.zeros(1, 4, 8, 8)
    maps[0, 1, 2, 3], maps[0, 2, 5, 5], maps[0, 3, 0, 0] = 1.2, 0.5, 0.9
    expected = [0, 0, 1, entropy([0.9, 0.1], base=2)]
    assert normalized_entropy(maps, "peaks")[0].tolist() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("steps", "kind"),
    [
        ([{"_target_": "bundle.tasks.spine.DecodeDiscsd"}], "peaks"),
        ([{"_target_": "Activationsd", "sigmoid": True}], "sigmoid"),
        ([{"_target_": "bundle.tasks.classification.ComputeClassProbabilityd"}], "sigmoid"),
        ([{"_target_": "Activationsd", "softmax": True}], "softmax"),
    ],
)
def test_the_score_type_follows_from_the_postprocessing(steps: list[dict], kind: str) -> None:
    assert get_score_type({"postprocessing": {"transforms": steps}}) == kind


def test_a_value_is_reproducible(task: LabelTask, studies: Path) -> None:
    before = json.dumps(task.config)
    image = str(studies / "phantom_0.nii.gz")
    first = UncertaintyEstimator(task)
    value = first(image)
    assert 0 < value < 1
    assert value == first(image) == UncertaintyEstimator(task)(image)
    assert json.dumps(task.config) == before


def test_a_value_is_the_mean_entropy_of_the_windows(task: LabelTask, studies: Path) -> None:
    """A phantom that is smaller than the window is one window; weights of zero have maximum entropy."""
    state = torch.load(task.shipped_weights, weights_only=True)
    task.work.mkdir()
    torch.save({name: torch.zeros_like(value) for name, value in state.items()}, task.trained_weights)
    assert UncertaintyEstimator(task)(str(studies / "phantom_1.nii.gz")) == pytest.approx(1)


def test_other_weights_have_other_values_and_another_stamp(task: LabelTask, studies: Path) -> None:
    estimator, image = UncertaintyEstimator(task), str(studies / "phantom_2.nii.gz")
    values, stamps = [estimator(image)], [estimator.stamp()]
    state = torch.load(task.shipped_weights, weights_only=True)
    task.work.mkdir()
    for step in (1, 2):
        torch.save({name: value / (1 + step) for name, value in state.items()}, task.trained_weights)
        os.utime(task.trained_weights, ns=(step, step))
        values.append(estimator(image))
        stamps.append(estimator.stamp())
    assert len(set(values)) == len(set(stamps)) == 3


def test_an_invalid_image_raises_an_error(task: LabelTask, tmp_path: Path) -> None:
    with pytest.raises((BadInputError, RuntimeError)):
        UncertaintyEstimator(task)(str(tmp_path / "none.nii.gz"))


def test_a_value_is_stored_for_its_model_and_weights(task: LabelTask, studies: Path, tmp_path: Path) -> None:
    shutil.copyfile(studies / "phantom_0.nii.gz", tmp_path / "a.nii.gz")
    store, estimator = Store(a=str(tmp_path / "a.nii.gz")), UncertaintyEstimator(task)
    store.info["a"]["uncertainty"] = {"discs": {"value": 0.5, "weights": "1"}}
    value = score_image(estimator, store, "a")
    assert value == stored_value(store.info["a"], "volumes", estimator.stamp())
    assert stored_value(store.info["a"], "volumes", "other") is None
    assert stored_value(store.info["a"], "discs", "1") == 0.5
    assert stored_value({}, "volumes", "1") is None


def test_an_invalid_image_has_no_value(task: LabelTask, caplog: pytest.LogCaptureFixture) -> None:
    store = Store(a="/nowhere/a.nii.gz")
    assert score_image(UncertaintyEstimator(task), store, "a") is None
    assert store.info["a"] == {"ts": 1}
    assert "case a is skipped: UnreadableFileError: /nowhere/a.nii.gz: does not exist" in caplog.text
