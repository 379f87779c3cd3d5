"""Epochs, validations and cache of a training from measured steps, the hours and the memory."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from .choices import PlanError

EPOCHS = 100
"""Epochs that the iterations are spread over, so that schedule and validations have enough of them."""

ITERATIONS = 20_000
"""Iterations of a training without a limit of time."""

LEAST_ITERATIONS = 50
"""Iterations below which a training is not planned."""

VALIDATION_SHARE = 0.15
"""Share of the time that validations may take."""

RESERVE = 0.95
"""Share of the hours that is planned."""

START_SECONDS = 10.0
"""Start of a process with MONAI."""


@dataclass(frozen=True)
class Cache:
    """The caches of the training and of the validation cases.

    Attributes:
        needed_gb: memory that all cases need.
        gb: limit of each cache; None where all cases fit.
        training: share of the training cases that is not cached, but loaded whenever it is drawn.
        validation: that of the validation cases.
    """

    needed_gb: float
    gb: float | None = None
    training: float = 0.0
    validation: float = 0.0

    @property
    def shown_gb(self) -> float:
        """The memory that each cache may take, with a margin where all cases fit."""
        return round(self.needed_gb * 1.3 / 2, 3) if self.gb is None else self.gb

    @property
    def held_gb(self) -> float:
        """The memory that both caches take at most."""
        return self.needed_gb if self.gb is None else min(2 * self.gb, self.needed_gb)


@dataclass(frozen=True)
class Schedule:
    """A schedule of a training.

    Attributes:
        epochs: number of epochs.
        iterations: iterations per epoch.
        val_interval: epochs between two validations.
        step_seconds: seconds per step, with the loading of the cases that are not cached.
        validation_seconds: seconds per validation, likewise.
        epoch_seconds: seconds per epoch, without validation.
        total_seconds: seconds of the training, with start, loading and validations.
    """

    epochs: int
    iterations: int
    val_interval: int
    step_seconds: float
    validation_seconds: float
    epoch_seconds: float
    total_seconds: float


def schedule(
    measured: Mapping[str, float],
    *,
    hours: float | None,
    training: int,
    validation: int,
    batch_size: int,
    cache: Cache,
) -> Schedule:
    """Return the schedule that ends within the hours.

    Args:
        measured: what :func:`bundle.planning.dry_run.measure` returns; its cases were cached.
        hours: hours for the training; None for :data:`ITERATIONS`.
        training: number of training cases.
        validation: number of validation cases.
        batch_size: batch size.
        cache: which share of the cases is loaded again and again.

    Raises:
        PlanError: when too few iterations fit.
    """
    load = measured["load_seconds"]
    step = measured["step_seconds"] + batch_size * cache.training * load
    once = (measured["validation_seconds"] + cache.validation * load) * validation
    fixed = START_SECONDS + load * (training + validation)
    iterations = ITERATIONS if hours is None else _iterations_within(hours, fixed, step, once)
    per_epoch = min(max(iterations // EPOCHS, math.ceil(training / batch_size / 4), 1), 250, iterations)
    epoch_seconds = per_epoch * step
    wanted = math.ceil(once * (1 - VALIDATION_SHARE) / (VALIDATION_SHARE * epoch_seconds))
    epochs = max(iterations // per_epoch, 1)
    while True:
        interval = max(min(wanted, epochs // 2), 1)
        total = fixed + epochs * epoch_seconds + (epochs // interval) * once
        if hours is None or total <= hours * 3600 or epochs == 1:
            return Schedule(epochs, per_epoch, interval, step, once, epoch_seconds, total)
        epochs -= 1


def _iterations_within(hours: float, fixed: float, step: float, once: float) -> int:
    """Return the iterations that fit next to two validations.

    Raises:
        PlanError: when these are too few.
    """
    left = hours * 3600 * RESERVE - fixed - 2 * once
    iterations = int(left * (1 - VALIDATION_SHARE) / step)
    if iterations < LEAST_ITERATIONS:
        needed = (fixed + 2 * once + LEAST_ITERATIONS * step / (1 - VALIDATION_SHARE)) / RESERVE / 3600
        raise PlanError(
            f"{max(iterations, 0)} steps of {step:.2f} s fit into {hours:g} hours next to loading and validation, "
            f"and {LEAST_ITERATIONS} are the least; pass --hours {math.ceil(needed * 100) / 100:g} or more, or "
            "--memory with less for a smaller patch."
        )
    return iterations


def plan_cache(voxels: int, channels: int, room_gb: float, training: int, validation: int) -> Cache:
    """Return the caches for cases of equal size.

    Args:
        voxels: voxels of all cases.
        channels: channels of an image.
        room_gb: memory for both caches, of which each may take half.
        training: number of training cases.
        validation: number of validation cases.
    """
    needed = cached_gb(voxels, channels)
    if needed <= room_gb:
        return Cache(needed)
    limit = round(room_gb / 2, 3)
    shares = (
        max(1 - limit * (training + validation) / (needed * count), 0.0) if count else 0.0
        for count in (training, validation)
    )
    return Cache(needed, limit, *shares)


def cached_gb(voxels: int, channels: int) -> float:
    """Return the memory of cached cases: image and label in float32."""
    return voxels * (channels + 1) * 4 / 1024**3
