"""A training in several processes: its start, the shares of the cases, the same network in every validation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import ignite.distributed as idist
import torch
import torch.distributed as dist
from ignite.engine import Events
from monai.data import DataLoader
from monai.engines import Workflow
from monai.utils import set_determinism
from torch import nn
from torch.utils.data import Sampler


def start_processes(*, backend: str, seed: int) -> None:
    """Join the processes that ``torchrun`` has started, and seed them.

    Args:
        backend: backend of ``torch.distributed``, ``"nccl"`` for GPUs or ``"gloo"``.
        seed: seed of the run.
    """
    dist.init_process_group(backend=backend)
    set_determinism(seed=seed)


class ProcessSampler(Sampler[int]):
    """The share of this process in the draws of another sampler: of n processes, r takes every n-th from r on.

    Process 0 draws for all, so that the shares are those of one order, balanced as the other sampler balances it.

    Args:
        sampler: sampler of a single process, the same in all processes.
        even: give every process as many as the others, as a training needs it: the first draws are repeated. Without
            it nothing is repeated, except that all processes have all where there are fewer than processes.
    """

    def __init__(self, sampler: Any, *, even: bool) -> None:
        self.sampler, self.even = sampler, even

    def __len__(self) -> int:
        """Return the number of draws of this process."""
        return len(self._share(range(len(self.sampler))))

    def __iter__(self) -> Iterator[int]:
        """Draw, and yield the share of this process."""
        drawn = torch.as_tensor(list(self.sampler), dtype=torch.long)
        yield from self._share(torch.as_tensor(idist.broadcast(drawn, src=0)).tolist())

    def _share(self, drawn: Any) -> list[int]:
        indices, processes = list(drawn), idist.get_world_size()
        missing = -len(indices) % processes
        if self.even:
            indices += (indices * processes)[:missing]
        elif len(indices) < processes:
            return indices
        return indices[idist.get_rank() :: processes]


def share_loader(loader: Any, *, even: bool) -> DataLoader:
    """Return a loader of the share of this process in the cases of a loader for a single process.

    Args:
        loader: MONAI's ``DataLoader``, with any sampler.
        even: as for :class:`ProcessSampler`: True to train, False to validate.
    """
    options = {name: getattr(loader, name) for name in ("batch_size", "num_workers", "drop_last", "collate_fn")}
    return type(loader)(loader.dataset, sampler=ProcessSampler(loader.sampler, even=even), **options)


class SameBuffers:
    """Give all processes the buffers of process 0 before a validation, as the running statistics of batch norm.

    Every process updates these by its own batches, and the weights that are saved are those of process 0.

    Args:
        network: network of the evaluator.
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = network

    def attach(self, engine: Workflow) -> None:
        """Do so at the start of every run of ``engine``."""
        engine.add_event_handler(Events.STARTED, self)

    def __call__(self, _: Workflow) -> None:
        """Replace the buffers."""
        if idist.get_world_size() > 1:
            for buffer in self.network.buffers():
                dist.broadcast(buffer, src=0)
