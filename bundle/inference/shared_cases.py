"""Order of the cases of processes that share a folder: each computes those that no other has."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from torch.utils.data import Sampler

from .claims import Claim
from .completed_cases import CompletedCases

POLL = 0.5
"""Seconds between two looks at the cases that other processes compute."""


class SharedCases(Sampler[int]):
    """Indexes of all cases: those that are free at once, each claimed, and those of other processes when they end.

    So every process ends when all cases are completed, and takes over the cases of a process that ends before.

    Args:
        cases: the cases.
        completed: their results, and the claims.
        one_by_one: process a case that has ended a process before without another one next to it, so that none but
            this one is suspected if it does so again. The iteration waits then; it needs a separate thread.
    """

    def __init__(
        self, cases: Sequence[Mapping[str, Any]], completed: CompletedCases, *, one_by_one: bool = False
    ) -> None:
        self.cases, self.completed, self.one_by_one = cases, completed, one_by_one
        self._stop = threading.Event()
        self._claims: list[Claim] = []

    def __len__(self) -> int:
        return len(self.cases)

    def __iter__(self) -> Iterator[int]:
        """Yield every index once."""
        self._stop.clear()
        left: Sequence[int] = range(len(self.cases))
        while left and not self._stop.is_set():
            others = []
            for index in left:
                begun = self.completed.begin(self.cases[index])
                if begun == "taken":
                    others.append(index)
                    continue
                is_suspect = isinstance(begun, Claim) and begun.number > 1 and self.one_by_one
                if is_suspect:
                    self._wait()
                if isinstance(begun, Claim):
                    self._claims = [*(claim for claim in self._claims if claim.is_held()), begun]
                yield index
                if is_suspect:
                    self._wait()
            if others:
                self._stop.wait(POLL)
            left = others

    def stop(self) -> None:
        """End the iteration, also if it waits."""
        self._stop.set()

    def _wait(self) -> None:
        """Wait until no case is being computed."""
        while any(claim.is_held() for claim in self._claims) and not self._stop.wait(POLL / 10):
            pass
