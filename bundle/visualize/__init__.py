"""Drawing of label maps on images."""

from .overlay import save_overlay

__all__ = [
    "save_overlay",
]
