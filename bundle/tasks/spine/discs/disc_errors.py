"""Errors about files of disc points and about points that a grid cannot hold."""

from __future__ import annotations

from pathlib import Path


class DiscFileError(ValueError):
    """A file of disc points that cannot be used.

    Args:
        file: path of the file.
        problem: what is wrong with it.
        remedy: what the user can do.
    """

    def __init__(self, file: str | Path, problem: str, remedy: str) -> None:
        super().__init__(f"{file}: {problem}; {remedy}.")
        self.file, self.problem, self.remedy = str(file), problem, remedy


class DiscPlacementError(ValueError):
    """A point has no voxel of its own on the grid that it shall be drawn on."""
