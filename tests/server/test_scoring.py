from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bundle.server import final_labels, scoring
from bundle.server.final_labels import unlabeled_images
from bundle.server.label_tasks import TASKS, LabelTask
from bundle.server.labeled_case import LabeledCase
from bundle.server.scoring import Evaluation, UncertaintyScoring, case_scores, get_outdated_methods
from bundle.server.server_errors import RequestError

ROWS = [
    {"case": "a", "structure": "anterior", "dice": 0.8},
    {"case": "a", "structure": "posterior", "dice": 0.6},
    {"case": "b", "structure": "anterior", "dice": None},
    {"case": "b", "structure": "posterior", "dice": 0.5},
]


class Store:
    """Images, of which some have a final label, and their info."""

    def __init__(self, folder: Path, labeled: str, unlabeled: str = "") -> None:
        self.labels = {name: folder / f"{name}.nii.gz" for name in labeled}
        for file in self.labels.values():
            file.write_text("")
        self.info: dict[str, dict[str, Any]] = {name: {} for name in labeled + unlabeled}
        self.users = {"volumes", "discs"}
        self.names: dict[int, str] = {}

    def list_images(self) -> list[str]:
        return list(self.info)

    def get_labeled_images(self) -> list[str]:
        return list(self.labels)

    def find_final_label(self, name: str, task: LabelTask) -> LabeledCase | None:
        if task.name not in self.users:
            return None
        return LabeledCase(name, Path(f"/studies/{name}.nii.gz"), self.labels[name], self.names)

    def get_image_info(self, name: str) -> dict[str, Any]:
        return self.info[name]

    def update_image_info(self, name: str, info: dict[str, Any]) -> None:
        self.info[name].update(info)


@pytest.fixture
def tasks(tmp_path: Path) -> list[LabelTask]:
    return [replace(task, work=tmp_path / "work" / task.name) for task in TASKS[:2]]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The arguments of evaluations, which return :data:`ROWS`."""
    calls: list[dict[str, Any]] = []

    def run(config: Path, overrides: dict[str, Any], folder: Path) -> dict[str, Any]:
        calls.append({"config": config, **overrides})
        folder.mkdir(parents=True)
        (folder / "metrics.json").write_text(json.dumps({"cases": ROWS if overrides["checkpoint"] else []}))
        return {"failures": [{"message": "c is empty"}]}

    monkeypatch.setattr(scoring, "run_workflow", run)
    monkeypatch.setattr(final_labels, "cut_regions", lambda case, *_: [case])
    return calls


@pytest.fixture
def values(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The images whose uncertainty was computed; x cannot be read."""
    found: list[str] = []

    def score(estimator: Any, store: Store, name: str, device: str = "cpu") -> float | None:
        found.append(name)
        if name == "x":
            return None
        store.info[name]["uncertainty"] = {estimator.task.name: {"value": 0.5, "weights": estimator.stamp()}}
        return 0.5

    monkeypatch.setattr(scoring, "score_image", score)
    return found


def test_the_model_is_scored_per_case_and_on_average(tasks, asked, tmp_path: Path) -> None:
    found = Evaluation(tasks)({}, Store(tmp_path, "abc"))
    assert found["cases"] == {"a": 0.7, "b": 0.5}
    assert (found["model"], found["metric"], found["mean"]) == ("volumes", "dice", 0.6)
    assert found["skipped"] == ["c is empty"]


def test_discs_are_scored_by_the_identification_rate(tasks, asked, tmp_path: Path) -> None:
    assert Evaluation(tasks)({"model": "discs"}, Store(tmp_path, "a"))["metric"] == "identification_rate"


def test_the_evaluation_is_that_of_the_bundle_with_the_served_weights(tasks, asked, tmp_path: Path) -> None:
    Evaluation(tasks)({"model": "volumes", "device": "cpu"}, Store(tmp_path, "ab"))
    assert asked[0]["config"] == tasks[0].config_dir / "evaluate.json"
    assert (asked[0]["split"], asked[0]["checkpoint"]) == ("all", str(tasks[0].shipped_weights))
    items = json.loads(Path(asked[0]["datalist"]).read_text())["training"]
    assert [item["image"] for item in items] == ["/studies/a.nii.gz", "/studies/b.nii.gz"]


def test_scores_are_stored_in_the_info_of_the_images(tasks, asked, tmp_path: Path) -> None:
    store = Store(tmp_path, "abc")
    store.info["a"]["dice"] = {"discs": {"value": 0.1}}
    Evaluation(tasks)({}, store)
    assert {model: record["value"] for model, record in store.info["a"]["dice"].items()} == {
        "discs": 0.1,
        "volumes": 0.7,
    }
    assert "dice" not in store.info["c"]


def test_scores_are_outdated_by_other_weights_or_another_label(tasks, asked, tmp_path: Path) -> None:
    store, method = Store(tmp_path, "ab"), Evaluation(tasks)
    assert not method.is_outdated(store)
    method({}, store)
    assert not method.is_outdated(store)
    os.utime(store.labels["b"], ns=(1, 1))
    assert method.is_outdated(store)
    method({}, store)
    assert not method.is_outdated(store)
    tasks[0].trained_weights.write_text("")
    assert method.is_outdated(store)
    assert not Evaluation(tasks[1:]).is_outdated(store)


def test_there_is_no_mean_without_scores(tasks, monkeypatch, tmp_path: Path, asked) -> None:
    monkeypatch.setattr(scoring, "case_scores", lambda rows: {})
    assert Evaluation(tasks)({}, Store(tmp_path, "a"))["mean"] is None


def test_scoring_without_labels_is_refused(tasks, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="no image has a final label") as caught:
        Evaluation(tasks)({}, Store(tmp_path, "", "a"))
    assert caught.value.status == 409


def test_only_labels_for_the_model_are_scored(tasks, asked, tmp_path: Path) -> None:
    store = Store(tmp_path, "a", "b")
    store.users = {"discs"}
    with pytest.raises(
        RequestError, match="volumes: no image has a final label of anterior, posterior; submit"
    ) as caught:
        Evaluation(tasks)({}, store)
    assert caught.value.status == 409
    assert unlabeled_images(store, tasks[0]) == ["a", "b"]
    assert unlabeled_images(store, tasks[1]) == ["b"]


def test_other_names_of_the_values_outdate_a_score(tasks, asked, tmp_path: Path) -> None:
    store, method = Store(tmp_path, "ab"), Evaluation(tasks)
    method({}, store)
    store.names = {1: "posterior", 2: "anterior"}
    assert method.is_outdated(store)


def test_a_label_that_cannot_be_converted_is_skipped(tasks, asked, monkeypatch, tmp_path: Path) -> None:
    def convert(cases: list[LabeledCase], task: LabelTask, folder: Path) -> tuple[list[LabeledCase], list[str]]:
        return cases[1:], ["a has no such value"]

    monkeypatch.setattr(scoring, "convert_cases", convert)
    assert Evaluation(tasks)({}, Store(tmp_path, "ab"))["skipped"] == ["a has no such value", "c is empty"]
    with pytest.raises(RequestError, match="not scored, because all labels are invalid:\na has no such value"):
        Evaluation(tasks)({}, Store(tmp_path, "a"))


def test_an_unknown_model_is_refused(tasks, tmp_path: Path) -> None:
    for method in (Evaluation(tasks), UncertaintyScoring(tasks)):
        with pytest.raises(RequestError, match="unknown model 'cells'"):
            method({"model": "cells"}, Store(tmp_path, "a"))


def test_all_unlabeled_images_get_a_value_once(tasks, values, tmp_path: Path) -> None:
    store, method = Store(tmp_path, "l", "bxa"), UncertaintyScoring(tasks)
    found = method({"device": "cpu"}, store)
    assert found == {"model": "volumes", "uncertainty": {"a": 0.5, "b": 0.5}, "computed": 2, "missing": ["x"]}
    assert method({}, store)["computed"] == 0
    assert values == ["a", "b", "x", "x"]


def test_a_limit_restricts_the_number_of_values(tasks, values, tmp_path: Path) -> None:
    found = UncertaintyScoring(tasks)({"limit": 1}, Store(tmp_path, "", "ab"))
    assert (found["computed"], found["missing"]) == (1, ["b"])
    with pytest.raises(RequestError, match="limit"):
        UncertaintyScoring(tasks)({"limit": -1}, Store(tmp_path, "", "ab"))


def test_nothing_is_outdated_before_the_first_request(tasks, values, tmp_path: Path) -> None:
    store, method = Store(tmp_path, "", "ab"), UncertaintyScoring(tasks)
    assert not method.is_outdated(store)
    method({"limit": 1}, store)
    assert get_outdated_methods({"dice": Evaluation(tasks), "uncertainty": method}, store) == ["uncertainty"]
    method({}, store)
    assert not method.is_outdated(store)


@pytest.mark.parametrize(
    ("rows", "scores"),
    [
        (ROWS, {"a": 0.7, "b": 0.5}),
        ([{"case": "a", "metrics": {"identification_rate": 0.9}}], {"a": 0.9}),
        ([{"case": "a", "metrics": {"identification_rate": None}}], {}),
        (
            [
                {"case": "a", "class": "melanoma", "positive": 1, "label": 1},
                {"case": "a", "class": "nevus", "positive": 1, "label": 0},
            ],
            {"a": 0.5},
        ),
        ([], {}),
    ],
)
def test_every_task_has_one_score_per_case(rows: list[dict], scores: dict[str, float]) -> None:
    assert case_scores(rows) == pytest.approx(scores)
