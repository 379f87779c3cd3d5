"""The versions that a result depends on."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from importlib.metadata import version

from keyslice_runtime import __version__

PACKAGES = ("monai", "torch", "numpy", "scipy", "nibabel")


def versions(packages: Sequence[str] = PACKAGES) -> dict[str, str]:
    """Return the versions of this project, of Python and of the packages that results depend on."""
    return {"keyslice": __version__, "python": platform.python_version(), **{name: version(name) for name in packages}}
