from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from bundle.data.case_review import Rating
from bundle.server import strategies
from bundle.server.label_tasks import TASKS
from bundle.server.labeled_case import LabeledCase
from bundle.server.server_errors import RequestError
from bundle.server.strategies import Review, Uncertainty

VALUES = {"a": 0.1, "b": 0.4, "c": 0.3, "d": 0.4, "e": None}
"""Uncertainty of images; e cannot be read."""


class Store:
    """Images without labels and their info."""

    def __init__(self, *names: str) -> None:
        self.info: dict[str, dict[str, Any]] = {name: {} for name in names}

    def list_images(self) -> list[str]:
        return list(self.info)

    def get_labeled_images(self) -> list[str]:
        return []

    def get_image_info(self, name: str) -> dict[str, Any]:
        return self.info[name]


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The images whose value was computed, in order."""
    found: list[str] = []

    def score(estimator: Any, store: Store, name: str, device: str) -> float | None:
        found.append(name)
        if VALUES[name] is not None:
            entry = {"value": VALUES[name], "weights": estimator.stamp()}
            store.info[name]["uncertainty"] = {estimator.task.name: entry}
        return VALUES[name]

    monkeypatch.setattr(strategies, "score_image", score)
    return found


def ask(store: Store, **request: Any) -> Any:
    return Uncertainty(TASKS[:2])({"strategy": "uncertainty", **request}, store)


def test_the_most_uncertain_image_comes_first(computed: list[str]) -> None:
    found = ask(Store(*"ecadb"))
    assert found == {"id": "b", "score": 0.4, "model": "volumes", "scored": 4, "unlabeled": 5}


def test_values_are_computed_once(computed: list[str]) -> None:
    store = Store(*"abc")
    assert ask(store) == ask(store)
    assert computed == ["a", "b", "c"]


def test_a_request_computes_at_most_its_limit(computed: list[str]) -> None:
    store = Store(*"abcd")
    assert [ask(store, limit=1)["id"], ask(store, limit=2)["id"], ask(store, limit=0)["id"]] == ["a", "b", "b"]
    assert computed == ["a", "b", "c"]


def test_values_of_another_model_do_not_count(computed: list[str]) -> None:
    store = Store(*"ab")
    ask(store)
    assert ask(store, model="discs", limit=0) == {
        "id": "a",
        "score": None,
        "model": "discs",
        "scored": 0,
        "unlabeled": 2,
    }


def test_images_that_cannot_be_read_come_last(computed: list[str]) -> None:
    assert ask(Store(*"ea"))["id"] == "a"
    assert ask(Store("e"))["id"] == "e"


def test_there_is_no_next_image_if_all_have_labels(computed: list[str]) -> None:
    assert ask(Store()) is None


def test_two_annotators_get_different_images_if_possible(computed: list[str]) -> None:
    store = Store(*"abc")
    store.info["b"]["strategy"] = {"uncertainty": {"ts": int(time.time()), "client_id": "ann"}}
    assert [ask(store, client_id=name)["id"] for name in ("ann", "bob", None)] == ["b", "c", "b"]
    for name in "ac":
        store.info[name]["strategy"] = {"uncertainty": {"ts": int(time.time()), "client_id": "ann"}}
    assert ask(store, client_id="bob")["id"] == "b"


def test_a_reservation_expires(computed: list[str]) -> None:
    store = Store(*"ab")
    store.info["b"]["strategy"] = {"uncertainty": {"ts": 1, "client_id": "ann"}}
    assert ask(store, client_id="bob")["id"] == "b"


def test_an_unknown_model_is_refused(computed: list[str]) -> None:
    with pytest.raises(RequestError, match="unknown model 'cells'"):
        ask(Store("a"), model="cells")


RATINGS = {
    "a": Rating("a", rating="pass"),
    "b": Rating("b", rating="needs correction"),
    "c": Rating("c", rating="fail", note="cut", rated="2026-11-29T12:00:00.000Z"),
}


class LabeledStore(Store):
    """Images, some of which have a final label."""

    def __init__(self, *names: str) -> None:
        super().__init__(*names)
        self.labels: dict[str, Path] = {}

    def get_labeled_images(self) -> list[str]:
        return list(self.labels)

    def find_final_label(self, name: str, task: Any) -> LabeledCase:
        return LabeledCase(name, Path(name), self.labels[name])


def review(store: Store, **request: Any) -> Any:
    return Review(TASKS[:2], RATINGS)({"strategy": "review", **request}, store)


def test_failed_images_come_first_and_passed_ones_never(tmp_path: Path) -> None:
    store, label = LabeledStore(*"abcd"), tmp_path / "label"
    label.touch()
    assert review(store) == {"id": "c", "rating": "fail", "note": "cut", "left": 3}
    for name, following in (("c", "b"), ("b", "d"), ("d", None)):
        store.labels[name] = label
        assert (review(store) or {"id": None})["id"] == following


def test_a_label_that_was_rated_as_failed_is_selected_again(tmp_path: Path) -> None:
    store, label = LabeledStore("b", "c"), tmp_path / "label"
    label.touch()
    store.labels = {"b": label, "c": label}
    assert review(store) is None
    os.utime(label, (1, 1))
    assert review(store)["id"] == "c"


def test_two_reviewers_get_different_images() -> None:
    store = LabeledStore(*"bc")
    store.info["c"]["strategy"] = {"review": {"ts": int(time.time()), "client_id": "ann"}}
    assert [review(store, client_id=name)["id"] for name in ("ann", "bob")] == ["c", "b"]
