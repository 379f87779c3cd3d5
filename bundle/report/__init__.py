"""Pictures and reports of results."""

from .overlay import save_overlay

__all__ = ["save_overlay"]
