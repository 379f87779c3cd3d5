"""Single objects of a mask, such as touching cells, and metrics of their agreement.

Objects are separated by a watershed on the distance to the border of the mask, the usual method (Malpica et al.,
Cytometry 1997). Metrics: panoptic quality (Kirillov et al. 2019, https://arxiv.org/abs/1801.00868), and the mean
overlap of SegPC-2021 (Gupta et al., Medical Image Analysis 2023): the IoU of every object of the reference with the
predicted object that overlaps it most.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from monai.metrics import compute_panoptic_quality
from scipy import ndimage

MATCH = 0.5
"""IoU above which two objects are the same one; no object then has two partners."""


def separate_objects(mask: np.ndarray, *, neck: float = 0.75, min_share: float = 0.1) -> np.ndarray:
    """Number the objects of a mask; objects that touch are separated at narrow places.

    Holes are filled. A region is two objects where the passage between two of its thick places is narrower than
    ``neck`` times the thinner one of them. This holds at any size of the image.

    Args:
        mask: pixels of all objects ``(H, W)``.
        neck: widest passage that separates, as a share of the smaller width beside it, in (0, 1].
        min_share: smallest area of an object, as a share of the median area; smaller ones are not numbered.

    Returns:
        Numbers from 1 on, 0 for the background, ``(H, W)``, int32.

    Raises:
        ValueError: when ``neck`` or ``min_share`` is out of range.

    Examples:
        >>> rows, columns = np.mgrid[:40, :70]
        >>> disks = [(rows - 20) ** 2 + (columns - center) ** 2 < 14**2 for center in (20, 45)]
        >>> int(separate_objects(disks[0] | disks[1]).max())
        2
    """
    if not 0 < neck <= 1 or not 0 <= min_share < 1:
        raise ValueError(f"neck must lie in (0, 1] and min_share in [0, 1), got {neck} and {min_share}.")
    regions, count = ndimage.label(np.asarray(mask, dtype=bool), np.ones((3, 3)))
    found = np.zeros(regions.shape, dtype=np.int32)
    number = 0
    for index, box in enumerate(ndimage.find_objects(regions, count), start=1):
        region = ndimage.binary_fill_holes(regions[box] == index)
        parts = _watershed(np.pad(region, 1), neck)[1:-1, 1:-1]
        found[box][parts > 0] = parts[parts > 0] + number
        number += int(parts.max())
    return _without_small(found, min_share)


def measure_objects(objects: np.ndarray) -> list[dict[str, float]]:
    """Measure the numbered objects ``(H, W)``.

    Returns:
        By object: ``object``, its number; ``area_px``; ``center_x`` and ``center_y``, the mean position of its pixels;
        and ``box_x``, ``box_y``, ``box_width``, ``box_height``, in pixels from the upper left corner.

    Examples:
        >>> measure_objects(np.array([[0, 1, 1], [0, 1, 1]]))[0]["center_x"]
        1.5
    """
    measured = []
    for number, box in enumerate(ndimage.find_objects(objects), start=1):
        if box is None:
            continue
        rows, columns = np.nonzero(objects[box] == number)
        top, left = box[0].start, box[1].start
        measured.append(
            {
                "object": number,
                "area_px": len(rows),
                "center_x": round(float(columns.mean()) + left, 2),
                "center_y": round(float(rows.mean()) + top, 2),
                "box_x": left,
                "box_y": top,
                "box_width": box[1].stop - left,
                "box_height": box[0].stop - top,
            }
        )
    return measured


def object_metrics(found: np.ndarray, reference: np.ndarray) -> dict[str, float]:
    """Compare the objects of an image with those of its reference.

    Args:
        found: numbers of the predicted objects ``(H, W)``, 0 for the background.
        reference: numbers of the objects of the reference, of the same shape.

    Returns:
        ``objects`` and ``reference_objects``, their numbers; ``panoptic_quality``, the product of
        ``recognition_quality`` (F1 of the objects, matched above an IoU of 0.5) and ``segmentation_quality`` (mean IoU
        of the matches); and ``object_iou``, the mean over the objects of the reference of their largest IoU. A mean
        over nothing is NaN.

    Examples:
        >>> one, two = np.array([[1, 1, 0, 0]]), np.array([[1, 1, 0, 2]])
        >>> object_metrics(one, two)["recognition_quality"], object_metrics(one, two)["object_iou"]
        (0.6666666666666666, 0.5)
    """
    first, second = (torch.as_tensor(numbers.astype(np.int32)) for numbers in (found, reference))
    counts = compute_panoptic_quality(first, second, match_iou_threshold=MATCH, output_confusion_matrix=True)
    true, false_positive, false_negative, overlap = counts.tolist()
    total = true + (false_positive + false_negative) / 2
    recognition = true / total if total else math.nan
    segmentation = overlap / true if true else math.nan
    return {
        "objects": int(true + false_positive),
        "reference_objects": int(true + false_negative),
        "panoptic_quality": recognition * segmentation if true else recognition,
        "recognition_quality": recognition,
        "segmentation_quality": segmentation,
        "object_iou": _object_iou(found, reference),
    }


def _object_iou(found: np.ndarray, reference: np.ndarray) -> float:
    overlaps = _overlaps(found, reference)
    union = overlaps.sum(1)[:, None] + overlaps.sum(0)[None] - overlaps
    iou = (overlaps / np.maximum(union, 1))[1:, 1:].max(0, initial=0.0)
    occurs = overlaps.sum(0)[1:] > 0
    return float(iou[occurs].mean()) if occurs.any() else math.nan


def _overlaps(found: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Return the number of pixels of every pair of numbers, in rows those of ``found``."""
    columns = int(reference.max()) + 1
    pairs = found.astype(np.int64) * columns + reference
    return np.bincount(pairs.ravel(), minlength=(int(found.max()) + 1) * columns).reshape(-1, columns)


def _watershed(region: np.ndarray, neck: float) -> np.ndarray:
    from skimage.morphology import local_maxima, reconstruction
    from skimage.segmentation import watershed

    distance = ndimage.distance_transform_edt(region)
    # In logarithms, a passage that is narrower by a factor is lower by a constant.
    height = np.log(np.maximum(distance, 0.5))
    # skimage's h_maxima returns two peaks of equal height however shallow the saddle between them is (0.26).
    peaks = local_maxima(reconstruction(height + math.log(neck), height))
    markers, _ = ndimage.label(peaks & region, np.ones((3, 3)))
    return watershed(-height, markers, mask=region)


def _without_small(objects: np.ndarray, min_share: float) -> np.ndarray:
    areas = np.bincount(objects.ravel())
    areas[0] = 0
    if not areas.any():
        return objects
    kept = (areas >= min_share * np.median(areas[1:])) & (areas > 0)
    numbers = np.where(kept, np.cumsum(kept), 0)
    return numbers[objects].astype(np.int32)
