"""The network in int8 as a candidate of the plan."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from bundle.utils.errors import BundleError

from .int8_network import EXTRA, Int8File, Int8Network, find_int8, int8_path

logger = logging.getLogger(__name__)

CHECKED_IMAGES = 4
"""Images on which a plan in int8 is checked: calibration on some images says little about others."""


class Int8Candidate:
    """The network in int8 of a checkpoint, where this machine can use it for the windows at hand.

    Args:
        checkpoint: file of the weights; None for no candidate.
    """

    def __init__(self, checkpoint: str | Path | None) -> None:
        self.checkpoint = checkpoint
        self._found: list[Int8File | None] = []
        self._networks: dict[int | None, Int8Network] = {}

    @property
    def file(self) -> Int8File | None:
        """The file next to the weights; None without one that can be used. It is looked for once."""
        if not self._found:
            self._found.append(find_int8(self.checkpoint))
        return self._found[0]

    def fits(self, networks: Sequence[Callable[..., Any]], window: Sequence[int], device: torch.device) -> bool:
        """Return whether the file can take the place of ``networks`` for windows of the shape ``[C, ...]``."""
        if device.type != "cpu" or len(networks) != 1 or self.file is None:
            return False
        if self.file.window != list(window):
            logger.info("%s is for windows %s, not %s, and is not used", self.file.path, self.file.window, list(window))
            return False
        return True

    def key(self) -> dict[str, Any]:
        """Return what a choice depends on, in addition to machine and network."""
        return {} if self.file is None else {"int8": [self.file.digest, version(EXTRA)]}

    def network(self, threads: int | None) -> Int8Network:
        """Return the network, for as many threads.

        Raises:
            BundleError: when there is none that this machine can use.
        """
        if self.file is None:
            wanted = int8_path(self.checkpoint) if self.checkpoint else "a file of it next to the weights"
            raise BundleError(
                f"plan int8 needs {wanted}, made for these weights by python -m bundle quantize, and OpenVINO "
                "(pip install 'keyslice[openvino]'); use plan auto or fp32 without them."
            )
        if threads not in self._networks:
            self._networks[threads] = Int8Network(self.file, threads=threads)
        return self._networks[threads]


def is_unchecked(chosen: Any) -> bool:
    """Return whether a choice is int8 and must still be checked on further images."""
    return bool(chosen["plan"]["dtype"] == "int8" and chosen["source"] != "forced") and (
        int(chosen.get("checked", 0)) < CHECKED_IMAGES
    )
