from __future__ import annotations

from typing import Any

import pytest
import torch
from monailabel.interfaces.tasks.batch_infer import BatchInferTask

from bundle.label.batch import BatchInference
from bundle.label.workarounds.batch_devices import with_devices


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
def test_a_batch_runs_without_a_gpu_as_clients_ask_for_it() -> None:
    asked = {"model": "volumes", "device": "cuda", "multi_gpu": True, "gpus": "all", "images": ["a"]}
    assert BatchInference()(asked, Store(), infer)["a"]["device"] == "cpu"


def test_gpus_are_used_where_there_are_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert with_devices({"multi_gpu": True, "device": "cuda"}) == {"multi_gpu": True, "device": "cuda"}


@pytest.mark.skipif(torch.cuda.is_available(), reason="for machines without a GPU")
def test_monailabel_still_fails_without_a_gpu() -> None:
    """When this fails, bundle/label/workarounds/batch_devices.py is no longer needed."""
    with pytest.raises(ZeroDivisionError):
        BatchInferTask()({"images": ["a"]}, Store(), infer)
