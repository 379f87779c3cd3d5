"""The versions that a result depends on."""

from __future__ import annotations

import platform

import monai
import torch

from bundle import __version__
from bundle.utils.versions import versions


def test_the_versions_are_those_of_what_runs() -> None:
    found = versions()
    assert found["keyslice"] == __version__
    assert found["python"] == platform.python_version()
    assert found["torch"] == torch.__version__
    assert found["monai"] == monai.__version__
    assert set(found) == {"keyslice", "python", "monai", "torch", "numpy", "scipy", "nibabel"}
