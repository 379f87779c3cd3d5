"""Errors about files of disc points and about points that a grid cannot hold."""

from __future__ import annotations

from bundle.utils.errors import BundleError, FileError


class DiscFileError(FileError):
    """A file of disc points that cannot be used."""


class DiscPlacementError(BundleError):
    """A point has no voxel of its own on the grid that it shall be drawn on."""
