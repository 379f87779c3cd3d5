from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from monailabel.interfaces.tasks.batch_infer import BatchInferTask

from bundle.server.workarounds.batch_devices import choose_devices

ASKED = {"model": "volumes", "multi_gpu": True, "gpus": "all", "device": "cuda", "images": ["a"]}
"""The default request of clients."""


def infer(request: dict[str, Any], datastore: Any) -> dict[str, Any]:
    return {"device": request["device"]}


def test_gpus_are_used_if_there_are_any(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_devices(ASKED) == ASKED


@pytest.mark.skipif(torch.cuda.is_available(), reason="for machines without a GPU")
def test_without_gpus_the_cpu_is_used() -> None:
    assert BatchInferTask()(choose_devices(ASKED), SimpleNamespace(), infer) == {"a": {"device": "cpu"}}


@pytest.mark.skipif(torch.cuda.is_available(), reason="for machines without a GPU")
def test_monailabel_still_fails_without_gpus() -> None:
    """When this fails, bundle/server/workarounds/batch_devices.py is no longer needed."""
    with pytest.raises(ZeroDivisionError):
        BatchInferTask()(ASKED, SimpleNamespace(), infer)
