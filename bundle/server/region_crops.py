"""Crops of the labeled regions of images, such as both hippocampi of a head, for networks that segment one region."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from monai.data import MetaTensor
from monai.transforms import Orientationd, SpatialCropd

from bundle.grid import CropConstantBorderd
from bundle.inference.region_finder import extent_mm, region_box
from bundle.io.load_volume import LoadVolumed
from bundle.utils.errors import FileError
from bundle.utils.label_names import IGNORED
from bundle.utils.lengths import is_at_most

from .annotations import ANY_SPACING
from .label_info import describe_structures
from .label_kinds import LABEL_MAP, find_kind
from .label_tasks import LabelTask
from .labeled_case import LabeledCase

KEYS = ("image", "label")


def cut_regions(case: LabeledCase, task: LabelTask, folder: Path) -> list[LabeledCase]:
    """Return a case whose label map contains regions as one case per region, and any other case as it is.

    A region is cut as in inference, around the center of its label. Its values become those of a crop.

    Args:
        case: the labeled case, with the values of the task.
        task: the task.
        folder: folder to write the crops to.

    Raises:
        FileError: if image or label cannot be read, or the label contains the values of a crop and those of regions, or
            the image is not a crop and the label has no region.
    """
    if not task.region_labels or find_kind(case.label) != LABEL_MAP:
        return [case]
    data = _load(case, task)
    present = {int(value) for value in np.unique(data["label"])}
    regions = [region for region, values in task.region_labels.items() if present & set(values.values())]
    has_crop_values = bool(present & set(task.labels.values()))
    if has_crop_values and (regions or (task.finds_regions and not _is_crop(data["image"], task))):
        raise FileError(
            case.label,
            f"contains {', '.join(task.labels)} of no region"
            + (f", and regions: {', '.join(regions)}" if regions else ", and its image is not the crop of one"),
            f"label the regions of the image; expected {describe_structures([task])}",
        )
    return [_cut(case, task, data, region, folder) for region in regions] or [case]


def _load(case: LabeledCase, task: LabelTask) -> dict[Hashable, MetaTensor]:
    """Return image and label as the network's preprocessing leaves them before it resamples."""
    steps: list[Any] = [
        LoadVolumed(KEYS, classes=task.all_labels, ignore_label=task.ignore_value, spacing_range=ANY_SPACING),
        Orientationd(KEYS, axcodes="RAS", labels=None),
        CropConstantBorderd(KEYS),
    ]
    data: Any = {"image": str(case.image), "label": str(case.label)}
    for step in steps:
        data = step(data)
    return data


def _is_crop(image: MetaTensor, task: LabelTask) -> bool:
    sizes = zip(extent_mm(image), task.config["largest_crop_mm"], strict=True)
    return all(is_at_most(size, limit) for size, limit in sizes)


def _cut(
    case: LabeledCase, task: LabelTask, data: Mapping[Hashable, MetaTensor], region: str, folder: Path
) -> LabeledCase:
    values = task.region_labels[region]
    label = data["label"].numpy()[0]
    points = np.argwhere(np.isin(label, list(values.values())))
    affine = np.asarray(data["label"].affine, dtype=float)
    center = affine[:3, :3] @ ((points.min(0) + points.max(0)) / 2) + affine[:3, 3]
    box = region_box(data["label"], center, task.config["region_size_mm"])
    cut: Any = SpatialCropd(KEYS, roi_slices=list(box))(data)
    found = cut["label"].numpy()[0]
    classes = np.zeros(found.shape, np.uint16)
    for name, value in values.items():
        classes[found == value] = task.labels[name]
    classes[found == IGNORED] = task.ignore_value or 0
    name, affine = f"{case.name}_{region}.nii.gz", np.asarray(cut["image"].affine, dtype=float)
    return replace(
        case,
        image=_write(cut["image"].numpy()[0], affine, folder / "images" / name),
        label=_write(classes, affine, folder / "labels" / name),
        names={},
    )


def _write(values: np.ndarray, affine: np.ndarray, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(values, affine)
    image.header.set_xyzt_units("mm")
    nib.save(image, target)
    return target
