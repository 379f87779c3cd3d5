"""SaveInBackgroundd writes results in the thread of a writer."""

from __future__ import annotations

import threading
from typing import Any

import torch
from monai.data import MetaTensor

from bundle.inference import BackgroundWriter, SaveInBackgroundd

CASE = {"case": "a", "image": MetaTensor(torch.zeros(1), meta={"filename_or_obj": "a.png"})}


class Save:
    """A transform that notes its thread as the result of the case."""

    def __call__(self, data: dict[str, Any]) -> dict[str, Any]:
        return {**data, "result": {"case": data["case"], "thread": threading.current_thread().name}}


class Fail:
    def __call__(self, data: dict[str, Any]) -> dict[str, Any]:
        raise OSError("the disk is full")


def test_the_writer_keeps_the_record_of_the_case() -> None:
    writer = BackgroundWriter()
    saved = SaveInBackgroundd([Save()], writer=writer)(CASE)
    writer.finish()
    assert saved == CASE
    assert writer.results == [{"case": "a", "thread": "writer_0"}]


def test_without_a_writer_the_record_is_returned() -> None:
    saved = SaveInBackgroundd([Save()])(CASE)
    assert saved["result"] == {"case": "a", "thread": threading.current_thread().name}


def test_a_transform_that_fails_is_a_failure_of_the_case() -> None:
    writer = BackgroundWriter()
    SaveInBackgroundd([Save(), Fail()], writer=writer)(CASE)
    writer.finish()
    assert writer.results == []
    assert [(failure["case"], failure["file"], failure["error"]) for failure in writer.failures] == [
        ("a", "a.png", "OSError")
    ]
