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
class Schedule:
    """A schedule of a training.

    Attributes:
        epochs: number of epochs.
        iterations: iterations per epoch.
        val_interval: epochs between two validations.
        epoch_seconds: seconds per epoch, without validation.
        total_seconds: seconds of the training, with start, loading and validations.
    """

    epochs: int
    iterations: int
    val_interval: int
    epoch_seconds: float
    total_seconds: float


def schedule(
    measured: Mapping[str, float], *, hours: float | None, training: int, validation: int, batch_size: int
) -> Schedule:
    """Return the schedule that ends within the hours.

    Args:
        measured: what :func:`bundle.planning.dry_run.measure` returns.
        hours: hours for the training; None for :data:`ITERATIONS`.
        training: number of training cases.
        validation: number of validation cases.
        batch_size: batch size.

    Raises:
        PlanError: when too few iterations fit.
    """
    step, fixed = measured["step_seconds"], START_SECONDS + measured["load_seconds"] * (training + validation)
    once = measured["validation_seconds"] * validation
    if hours is None:
        iterations = ITERATIONS
    else:
        left = hours * 3600 * RESERVE - fixed - 2 * once
        iterations = int(left * (1 - VALIDATION_SHARE) / step)
        if iterations < LEAST_ITERATIONS:
            needed = (fixed + 2 * once + LEAST_ITERATIONS * step / (1 - VALIDATION_SHARE)) / RESERVE / 3600
            raise PlanError(
                f"{max(iterations, 0)} steps of {step:.2f} s fit into {hours:g} hours next to loading and validation, "
                f"and {LEAST_ITERATIONS} are the least; pass --hours {math.ceil(needed * 100) / 100:g} or more, or "
                "--memory with less for a smaller patch."
            )
    per_epoch = min(max(iterations // EPOCHS, math.ceil(training / batch_size / 4), 1), 250, iterations)
    epochs = max(iterations // per_epoch, 1)
    epoch_seconds = per_epoch * step
    wanted = math.ceil(once * (1 - VALIDATION_SHARE) / (VALIDATION_SHARE * epoch_seconds))
    interval = max(min(wanted, epochs // 2), 1)
    total = fixed + epochs * epoch_seconds + (epochs // interval) * once
    return Schedule(epochs, per_epoch, interval, epoch_seconds, total)


def cached_gb(voxels: int, channels: int) -> float:
    """Return the memory of cached cases: image and label in float32."""
    return voxels * (channels + 1) * 4 / 1024**3
