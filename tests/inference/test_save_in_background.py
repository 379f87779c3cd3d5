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
        data["record"].complete({"thread": threading.current_thread().name})
        return data


class Fail:
    def __call__(self, data: dict[str, Any]) -> dict[str, Any]:
        raise OSError("the disk is full")


def test_the_record_of_the_case_is_completed_in_the_thread() -> None:
    writer = BackgroundWriter()
    saved = SaveInBackgroundd([Save()], writer=writer)(CASE)
    writer.finish()
    assert saved == {**CASE, "record": saved["record"]}
    assert (saved["record"].status, saved["record"].results["thread"]) == ("completed", "writer_0")


def test_without_a_writer_the_record_is_completed_at_once() -> None:
    saved = SaveInBackgroundd([Save()])(CASE)
    assert saved["record"].results["thread"] == threading.current_thread().name


def test_a_transform_that_fails_makes_the_case_fail() -> None:
    writer = BackgroundWriter()
    record = SaveInBackgroundd([Save(), Fail()], writer=writer)(CASE)["record"]
    writer.finish()
    assert (record.status, record.case, record.file, record.error) == ("failed", "a", "a.png", "OSError")
