"""PrefetchLoader gives what a DataLoader gives, makes the next batch meanwhile, and hides no error."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from monai.data import DataLoader, Dataset

from bundle.inference import PrefetchLoader


class Items(Dataset):
    """Items that are their numbers; it notes what was asked for and in which thread."""

    def __init__(self, count: int, bad: int | None = None) -> None:
        super().__init__(list(range(count)))
        self.asked: list[int] = []
        self.threads: set[str] = set()
        self.bad, self.change = bad, threading.Condition()

    def __getitem__(self, index: int) -> Any:
        with self.change:
            self.asked.append(index)
            self.threads.add(threading.current_thread().name)
            self.change.notify_all()
        if index == self.bad:
            raise KeyError("fault of the loader")
        return index

    def wait_for(self, count: int) -> bool:
        """Wait until ``count`` items were asked for."""
        with self.change:
            return self.change.wait_for(lambda: len(self.asked) >= count, timeout=10)


@pytest.mark.parametrize("ahead", [0, 1, 2, 9])
@pytest.mark.parametrize("count", [0, 1, 5])
def test_batches_are_those_of_a_dataloader_in_order(ahead: int, count: int) -> None:
    loader = PrefetchLoader(Items(count), ahead=ahead, batch_size=2)
    expected = [batch.tolist() for batch in DataLoader(Items(count), batch_size=2)]
    for _ in range(2):
        assert [batch.tolist() for batch in loader] == expected
    assert len(loader) == len(expected)


@pytest.mark.parametrize("ahead", [1, 2])
def test_the_next_batches_are_made_in_one_other_thread_and_no_more_than_asked_for(ahead: int) -> None:
    items = Items(8)
    batches = iter(PrefetchLoader(items, ahead=ahead))
    next(batches)
    assert items.wait_for(1 + ahead)
    assert items.asked == list(range(1 + ahead))
    next(batches)
    assert items.wait_for(2 + ahead)
    assert items.asked == list(range(2 + ahead))
    assert threading.current_thread().name not in items.threads
    assert len(items.threads) == 1
    batches.close()


def test_without_ahead_nothing_is_made_before_it_is_asked_for() -> None:
    items = Items(3)
    batches = iter(PrefetchLoader(items, ahead=0))
    next(batches)
    assert items.asked == [0]
    assert items.threads == {threading.current_thread().name}


def test_an_error_of_the_loader_comes_up_behind_the_batches_before_it() -> None:
    batches = iter(PrefetchLoader(Items(5, bad=2)))
    assert [next(batches).item(), next(batches).item()] == [0, 1]
    with pytest.raises(KeyError, match="fault of the loader"):
        next(batches)


def test_leaving_early_begins_no_further_batch_and_leaves_no_thread() -> None:
    items = Items(9)
    before = threading.active_count()
    for _ in PrefetchLoader(items):
        break
    asked = len(items.asked)
    assert asked <= 2
    assert threading.active_count() == before
    assert len(items.asked) == asked


def test_a_negative_number_is_refused() -> None:
    with pytest.raises(ValueError, match="ahead must be 0 or more batches, got -1"):
        PrefetchLoader(Items(1), ahead=-1)
