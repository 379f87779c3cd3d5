"""Several processes for tests: imagined ones, and real ones of the backend gloo."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp


def imagine_process(monkeypatch: pytest.MonkeyPatch, rank: int, count: int) -> None:
    """Let this process be one of several by its numbers; process 0 broadcasts what this one has."""
    monkeypatch.setattr(idist, "get_rank", lambda: rank)
    monkeypatch.setattr(idist, "get_world_size", lambda: count)
    monkeypatch.setattr(idist, "broadcast", lambda value, src: value)


def in_processes(function: Callable[[int, int], Any], count: int, folder: Path) -> list[Any]:
    """Run ``function(rank, count)`` in processes that can talk to each other, and return what each returns."""
    mp.spawn(_run, args=(function, count, str(folder)), nprocs=count)
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(count)]


def _run(rank: int, function: Callable[[int, int], Any], count: int, folder: str) -> None:
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(count))
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=count)
    torch.save(function(rank, count), Path(folder, f"{rank}.pt"))
    dist.destroy_process_group()
