"""Validation of datasets: unreadable files, wrong labels, duplicates, leaks between splits, statistics."""

from .dataset_check import check_dataset

__all__ = [
    "check_dataset",
]
