"""Datasets: from folders and datalists to cases."""

from .case_dataset import CaseCacheDataset, CaseDataset, collate_cases
from .datalist import DatalistError, list_cases, load_datalist, select_cases

__all__ = [
    "CaseCacheDataset",
    "CaseDataset",
    "DatalistError",
    "collate_cases",
    "list_cases",
    "load_datalist",
    "select_cases",
]
