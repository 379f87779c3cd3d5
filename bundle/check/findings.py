"""Findings of a validation: faults and remarks, and the properties of an item."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from bundle.io.input_checks import BadInputError
from bundle.tasks.spine.discs.disc_errors import DiscFileError

from .items import Item

T = TypeVar("T")

READERS = ("bundle.io", "bundle.tasks.spine.discs")
"""Loggers of the readers, whose warnings become remarks."""

SAME = ("all voxels have the same value", "all pixels have the same color")
"""Remarks of readers on what is a fault here."""


@dataclass(frozen=True)
class Finding:
    """Something that is wrong, or looks odd.

    Attributes:
        kind: what, in a word or two, such as ``"grid mismatch"``.
        items: names of the items that it is about; none where it is about the dataset.
        message: what it is, with the file.
    """

    kind: str
    items: tuple[str, ...]
    message: str


@dataclass
class Reading:
    """What was read of an item.

    Attributes:
        item: the item.
        faults: what is wrong with it.
        remarks: what was repaired or looks odd.
        facts: what the statistics are made of, JSON-able.
        digest: digest of the image's content; None where it could not be read.
        signature: small image by which near-duplicates are found, see :mod:`.signatures`; None for an even image.
        thumbnail: image of image and label as a data URI; empty where there is none.
    """

    item: Item
    faults: list[Finding] = field(default_factory=list)
    remarks: list[Finding] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    digest: str | None = None
    signature: np.ndarray | None = None
    thumbnail: str = ""

    def fault(self, kind: str, message: str) -> None:
        """Note a fault."""
        self.faults.append(Finding(kind, (self.item.name,), message))

    def remark(self, message: str) -> None:
        """Note what looks odd."""
        if not message.endswith(SAME):
            self.remarks.append(Finding("remark", (self.item.name,), message))

    def attempt(self, action: Callable[[], T]) -> T | None:
        """Return what an action does; where it raises an error, note that as a fault and return None."""
        try:
            return action()
        except (BadInputError, DiscFileError) as error:
            self.fault(kind_of_error(error), str(error))
        except Exception as error:  # the validation continues with the next item
            self.fault("unreadable", f"{self.item.images[0]}: {type(error).__name__}: {error}")
        finally:
            for remark in _COLLECTOR.take():
                self.remark(remark)
        return None


def kind_of_error(error: Exception) -> str:
    """Return the words of an error's type: ``"grid mismatch"`` for ``GridMismatchError``."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(error).__name__.removesuffix("Error")).lower()


class _Collector(logging.Handler):
    """Keep the messages that every thread logs, separately."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.own = threading.local()

    def emit(self, record: logging.LogRecord) -> None:
        self.own.messages = [*getattr(self.own, "messages", []), record.getMessage()]

    def take(self) -> list[str]:
        """Return what this thread has logged since the last time."""
        messages = getattr(self.own, "messages", [])
        self.own.messages = []
        return messages


_COLLECTOR = _Collector()


@contextmanager
def silent_readers() -> Iterator[None]:
    """Keep the readers' warnings off the console; they come back as remarks."""
    loggers = [logging.getLogger(name) for name in READERS]
    before = [logger.propagate for logger in loggers]
    for logger in loggers:
        logger.propagate = False
        logger.addHandler(_COLLECTOR)
    try:
        yield
    finally:
        for logger, propagate in zip(loggers, before, strict=True):
            logger.propagate = propagate
            logger.removeHandler(_COLLECTOR)
