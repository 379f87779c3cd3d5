"""Drawing of label maps on images."""

from .overlay import Overlay, save_overlay

__all__ = [
    "Overlay",
    "save_overlay",
]
