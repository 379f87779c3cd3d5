"""An image of the study folder and its final label."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class LabeledCase:
    """An image of the study folder and its final label, or the crop of a region of both.

    Args:
        name: id of the image in the datastore.
        image: file of the image.
        label: file of the label.
        names: names of its values that the client sent; empty if they are those of the task.
    """

    name: str
    image: Path
    label: Path
    names: Mapping[int, str] = field(default_factory=dict)
