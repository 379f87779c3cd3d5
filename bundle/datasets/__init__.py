"""Datasets: from folders and datalists to cases."""

from .case_dataset import CaseCacheDataset, CaseDataset, collate_cases
from .classified import class_sampler, select_classified
from .datalist import DatalistError, list_cases, load_datalist, select_cases
from .dataset_info import dataset_label_values, dataset_labels, dataset_modalities
from .mixed import mixed_sampler, select_mixed_cases
from .picture_cases import list_pictures, select_pictures
from .prefetch import PrefetchLoader
from .protocol import choose_protocol

__all__ = [
    "CaseCacheDataset",
    "CaseDataset",
    "DatalistError",
    "PrefetchLoader",
    "choose_protocol",
    "class_sampler",
    "collate_cases",
    "dataset_label_values",
    "dataset_labels",
    "dataset_modalities",
    "list_cases",
    "list_pictures",
    "load_datalist",
    "mixed_sampler",
    "select_cases",
    "select_classified",
    "select_mixed_cases",
    "select_pictures",
]
