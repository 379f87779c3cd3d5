"""Processes put their cases together, each case once, and take the decision of the first."""

from __future__ import annotations

import pickle
from typing import Any

import ignite.distributed as idist
import pytest
import torch
from helpers.processes import imagine_process

from bundle.utils import processes
from bundle.utils.processes import decided_by_first, gather_cases, merge_cases


def first(item: Any) -> str:
    return item[0]


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (["ac", "b"], "abc"),
        (["abc", ""], "abc"),
        (["", "ab"], "ab"),
        (["ad", "be", "c"], "abcde"),
        (["ac", "ba"], "abc"),
        (["a", "a", "a"], "a"),
        (["", ""], ""),
    ],
    ids=str,
)
def test_every_case_counts_once_in_the_order_of_the_dataset(parts: list[str], expected: str) -> None:
    assert merge_cases(parts, str) == list(expected)


def test_all_items_of_a_case_are_kept_together() -> None:
    parts = [["a1", "a2", "c1", "c2"], ["b1", "b2", "a1", "a2"]]
    assert merge_cases(parts, first) == ["a1", "a2", "b1", "b2", "c1", "c2"]


def test_a_case_that_one_process_has_twice_counts_twice_as_without_others() -> None:
    assert merge_cases([["a1", "b1", "a2"], ["c1"]], first) == ["a1", "c1", "b1", "a2"]


def test_a_process_alone_keeps_what_it_has() -> None:
    assert gather_cases(["b", "a", "a"], str) == ["b", "a", "a"]


def test_cases_of_other_processes_are_received(monkeypatch: pytest.MonkeyPatch) -> None:
    other = torch.frombuffer(bytearray(pickle.dumps(["b"])), dtype=torch.uint8)
    imagine_process(monkeypatch, 0, 2)
    monkeypatch.setattr(processes, "evenly_divisible_all_gather", lambda data, concat: [data, other])
    assert gather_cases(["a", "c"], str) == ["a", "b", "c"]


@pytest.mark.parametrize("decision", [True, False])
def test_the_first_process_decides_for_all(decision: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    assert decided_by_first(decision) is decision
    imagine_process(monkeypatch, 1, 2)
    monkeypatch.setattr(idist, "broadcast", lambda value, src: float(decision))
    assert decided_by_first(not decision) is decision
