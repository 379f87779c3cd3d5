"""Faults and remarks of an item."""

from __future__ import annotations

import logging

import pytest

from bundle.check.findings import Reading, kind_of_error, silent_readers
from bundle.check.items import Item
from bundle.io.input_checks import GridMismatchError
from bundle.tasks.spine.discs import DiscFileError


def new() -> Reading:
    return Reading(Item("a", ("dir/a",), None, "training", "volumes"))


def raising(error: Exception) -> None:
    raise error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (GridMismatchError("f", "is bad", "mend it"), "grid mismatch"),
        (DiscFileError("f", "is bad", "mend it"), "disc file"),
        (KeyError("x"), "unreadable"),
    ],
)
def test_an_error_becomes_a_fault(error: Exception, kind: str) -> None:
    reading = new()
    assert reading.attempt(lambda: raising(error)) is None
    assert [(fault.kind, fault.items) for fault in reading.faults] == [(kind, ("a",))]


def test_a_result_comes_back() -> None:
    reading = new()
    assert reading.attempt(lambda: 3) == 3
    assert (reading.faults, reading.remarks) == ([], [])


def test_what_readers_log_becomes_a_remark_and_not_a_line(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("bundle.io.load_volume")
    reading = new()
    with silent_readers():
        reading.attempt(lambda: logger.warning("%s: was repaired", "f"))
        reading.attempt(lambda: logger.warning("f: all voxels have the same value"))
    assert [remark.message for remark in reading.remarks] == ["f: was repaired"]
    assert caplog.messages == []
    logger.warning("again")
    assert caplog.messages == ["again"]


def test_the_kind_is_in_words() -> None:
    assert kind_of_error(GridMismatchError("f", "a", "b")) == "grid mismatch"
