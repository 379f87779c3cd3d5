"""The mean of the weights of several trainings of one network.

Source: model soups, Wortsman et al. 2022, https://arxiv.org/abs/2203.05482: trainings that start from the same weights
often end in one basin, where their mean generalizes better than each of them, at the cost of one network.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import torch

from bundle.utils.atomic_write import atomic_write

from .weights import WeightsError, read_state

logger = logging.getLogger(__name__)


def average_weights(files: Sequence[str | Path], output: str | Path) -> None:
    """Write the mean of the weights of several files, number by number; counters are those of the first.

    Args:
        files: two or more files with state dicts of one network, bare or under ``"model"`` or ``"network"``.
        output: file to write, ``.pt``; its folder is made when missing.

    Raises:
        WeightsError: when there are fewer than two files, one cannot be read, or they are not of one network.
    """
    if len(files) < 2:
        raise WeightsError(f"a mean needs two files or more, got {[str(file) for file in files]}.")
    states = [read_state(file) for file in files]
    shapes = [{key: value.shape for key, value in state.items()} for state in states]
    for file, found in zip(files, shapes, strict=True):
        other = sorted(key for key in found.keys() | shapes[0].keys() if found.get(key) != shapes[0].get(key))
        if other:
            raise WeightsError(f"checkpoint {file} is of another network than {files[0]}: {', '.join(other[:3])}.")
    mean = {key: _mean([state[key] for state in states]) for key in states[0]}
    Path(output).parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(Path(output)) as file:
        torch.save(mean, file)
    logger.info("%s: mean of the weights of %d files", output, len(files))


def _mean(values: Sequence[torch.Tensor]) -> torch.Tensor:
    first = values[0].contiguous()
    return torch.stack([value.double() for value in values]).mean(0).to(first) if first.is_floating_point() else first
