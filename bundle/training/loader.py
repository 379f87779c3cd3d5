"""Batches of a training, also of fewer cases than a batch."""

from __future__ import annotations

import logging
from typing import Any

from monai.data import DataLoader, Dataset
from torch.utils.data import RandomSampler

logger = logging.getLogger(__name__)


class TrainingLoader(DataLoader):
    """MONAI's ``DataLoader`` that always has a batch to train on.

    With ``drop_last`` PyTorch drops the incomplete batch, which is all there is where an epoch has fewer cases than a
    batch. Such an epoch is one batch of all its cases here, and both numbers are logged.

    Args:
        dataset: cases to train on.
        batch_size: cases per batch.
        iterations: batches per epoch, whose cases are drawn in random order until all were drawn, and again; None for
            every case ``repeats`` times.
        repeats: patches of a case per epoch.
        kwargs: as for MONAI's ``DataLoader``.

    Raises:
        ValueError: when an epoch has no case, or the batch size is below 1.

    Examples:
        >>> loader = TrainingLoader(Dataset([1, 2, 3]), batch_size=16, drop_last=True)
        >>> len(loader), loader.batch_size
        (1, 3)
    """

    def __init__(
        self,
        dataset: Dataset,
        *,
        batch_size: int = 1,
        iterations: int | None = None,
        repeats: int = 1,
        **kwargs: Any,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size must be 1 or more, got {batch_size}.")
        if repeats < 1 or (iterations is not None and iterations < 1):
            raise ValueError(
                f"patches_per_case and iterations_per_epoch must be 1 or more, got {repeats} and {iterations}."
            )
        draws = len(dataset) * repeats if iterations is None else iterations * batch_size
        if draws != len(dataset) and len(dataset):
            kwargs = {**kwargs, "sampler": RandomSampler(dataset, num_samples=draws), "shuffle": False}
        sampler = kwargs.get("sampler")
        count = len(dataset if sampler is None else sampler)
        if count < 1:
            raise ValueError(
                f"an epoch has {count} training cases and a batch {batch_size}: there is nothing to train on; "
                "check the datalist, --fold and the numbers of samples."
            )
        if batch_size > count and kwargs.get("drop_last"):
            logger.warning(
                "an epoch has %d training cases, fewer than batch_size %d: batches of %d", count, batch_size, count
            )
            batch_size = count
        super().__init__(dataset, batch_size=batch_size, **kwargs)
