"""Datalists: from a folder, a dataset or a file to lists of cases, one dataset a file."""

from .case_review import CaseReview
from .classified_images import class_sampler, select_classified
from .datalist import load_datalist, select_cases
from .datalist_file import DatalistError
from .dataset_info import dataset_ignore_label, dataset_label_values, dataset_labels, dataset_modalities
from .dataset_names import DatasetNames
from .image_folder import select_images
from .input_cases import list_cases, list_images
from .mixed_cases import mixed_sampler, select_mixed_cases

__all__ = [
    "CaseReview",
    "DatalistError",
    "DatasetNames",
    "class_sampler",
    "dataset_ignore_label",
    "dataset_label_values",
    "dataset_labels",
    "dataset_modalities",
    "list_cases",
    "list_images",
    "load_datalist",
    "mixed_sampler",
    "select_cases",
    "select_classified",
    "select_images",
    "select_mixed_cases",
]
