from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from bundle.server.batch_inference import BatchInference
from bundle.server.label_tasks import TASKS, LabelTask
from bundle.server.labeled_case import LabeledCase


class Store:
    def list_images(self) -> list[str]:
        return ["b", "a"]


def infer(request: dict[str, Any], datastore: Any) -> dict[str, Any]:
    if request["image"] == "b":
        raise ValueError("b is empty")
    return {"label": request["image"], "device": request["device"], "save_label": request["save_label"]}


def test_an_image_that_fails_does_not_end_the_batch() -> None:
    found = BatchInference()({"model": "volumes", "device": "cpu", "multi_gpu": False}, Store(), infer)
    assert found == {"a": {"label": "a", "device": "cpu", "save_label": True}, "b": {"error": "b is empty"}}


class LabeledStore(Store):
    """Images, of which a has a final label for volumes."""

    def get_labeled_images(self) -> list[str]:
        return ["a"]

    def find_final_label(self, name: str, task: LabelTask) -> LabeledCase | None:
        return LabeledCase(name, Path(name), Path(name)) if task.name == "volumes" else None


@pytest.mark.parametrize(
    ("model", "images", "names"),
    [
        ("volumes", "labeled", ["a"]),
        ("volumes", "unlabeled", ["b"]),
        ("discs", "labeled", []),
        ("discs", "unlabeled", ["a", "b"]),
        ("discs", "all", ["b", "a"]),
        ("discs", ["b"], ["b"]),
    ],
)
def test_images_are_labeled_if_the_model_has_a_label(model: str, images: Any, names: list[str]) -> None:
    batch = BatchInference({task.name: task for task in TASKS[:2]})
    assert batch.get_images({"model": model, "images": images}, LabeledStore()) == names


@pytest.mark.skipif(torch.cuda.is_available(), reason="for machines without a GPU")
def test_the_default_batch_request_runs_without_a_gpu() -> None:
    asked = {"model": "volumes", "device": "cuda", "multi_gpu": True, "gpus": "all", "images": ["a"]}
    assert BatchInference()(asked, Store(), infer)["a"]["device"] == "cpu"
