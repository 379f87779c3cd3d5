"""Cross-validation, and the ensemble of its folds."""

from .cross_validation import crossval

__all__ = [
    "crossval",
]
