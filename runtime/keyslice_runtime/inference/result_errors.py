"""Images in which nothing was found, or that are not what the weights segment."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from keyslice_runtime.io.input_checks import BadInputError


class NothingFoundError(BadInputError):
    """An image in which no region was found."""


class ImplausibleResultError(BadInputError):
    """An image whose result is not plausible, so that no label map is written."""


class NotACropError(BadInputError):
    """An image that is larger than the crops of one region for which the weights are meant."""


def implausible_crop(file: str | Path, problem: str) -> ImplausibleResultError:
    """Return the error for the crop of a region whose result is not plausible."""
    return ImplausibleResultError(
        file,
        f"the result is not plausible ({problem})",
        "check that the image shows the structures, its orientation and its voxel size; "
        "plausible_distance sets the limit",
    )


def not_a_crop(file: str | Path, sizes: Sequence[float], largest: Sequence[float], *, remedy: str) -> NotACropError:
    """Return the error for an image of these sizes in mm, where crops of one region have at most the largest."""
    return NotACropError(
        file,
        f"has a size of {_size(sizes)} mm, and the weights segment crops of one region of at most {_size(largest)} mm",
        remedy,
    )


def _size(sizes: Sequence[float]) -> str:
    return " x ".join(f"{size:.0f}" for size in sizes)
