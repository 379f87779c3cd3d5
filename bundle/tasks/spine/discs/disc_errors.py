"""Errors about files of disc points and of skeletons, and about points that do not fit on a grid."""

from __future__ import annotations

from bundle.utils.errors import BundleError, FileError


class DiscFileError(FileError):
    """A file of disc points that cannot be used."""


class DiscPlacementError(BundleError):
    """A point that has no voxel of its own on the grid on which it is to be drawn."""
