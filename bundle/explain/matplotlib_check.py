"""Check for matplotlib, which draws the explanations of a case."""

from __future__ import annotations

from importlib.util import find_spec


def require_matplotlib(purpose: str) -> None:
    """Check that matplotlib is installed, before any case is worked on.

    Raises:
        ModuleNotFoundError: when it is not; the message names ``purpose`` and what to install.
    """
    if find_spec("matplotlib") is None:
        raise ModuleNotFoundError(f"{purpose} draws with matplotlib; pip install 'keyslice[demo]'.")
