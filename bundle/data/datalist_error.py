"""The error of datasets and datalists that cannot be used."""

from __future__ import annotations

from bundle.utils.errors import BundleError


class DatalistError(BundleError):
    """A dataset folder or datalist that cannot be used; the message names the file and says what to do."""
