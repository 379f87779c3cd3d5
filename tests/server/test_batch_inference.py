from __future__ import annotations

from typing import Any

import pytest
import torch

from bundle.server.batch_inference import BatchInference


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


@pytest.mark.skipif(torch.cuda.is_available(), reason="for machines without a GPU")
def test_the_default_batch_request_runs_without_a_gpu() -> None:
    asked = {"model": "volumes", "device": "cuda", "multi_gpu": True, "gpus": "all", "images": ["a"]}
    assert BatchInference()(asked, Store(), infer)["a"]["device"] == "cpu"
