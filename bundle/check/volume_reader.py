"""Reading of items that are volumes, with label maps or with points of discs."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from functools import partial
from typing import Any

import nibabel as nib
import numpy as np
from monai.data import MetaTensor

from bundle.io.input_checks import check_same_grid
from bundle.io.label_classes import check_label
from bundle.io.load_volume import LoadVolumed
from bundle.utils.label_names import IGNORE, IGNORED

from .disc_points_check import check_points, read_points
from .findings import Reading
from .items import Item
from .signatures import digest, signature
from .thumbnails import slice_thumbnail
from .volume_facts import describe_grid, describe_structures

MAX_SAMPLES = 200_000
"""Voxels that the percentiles of an image are taken from, at most."""

PERCENTILES = (1, 50, 99)

EMPTY = "holds no class but the background; label it, or leave it out."


def read_volume(
    item: Item,
    *,
    spacing_range: Sequence[float],
    label_names: Mapping[str, int] | None = None,
    label_values: Mapping[str, Any] | None = None,
    channels: int = 0,
) -> Reading:
    """Read and check an item of the kind ``"volumes"`` or ``"discs"``.

    Args:
        item: the item.
        spacing_range: smallest and largest voxel size in mm that is not a fault.
        label_names: value of every class by its name; None where they are not known.
        label_values: values in the label map by the name of the class; None where it holds the classes as they are.
        channels: number of channels that an image should have; 0 where it is not known.
    """
    reading = Reading(item)
    stacked: dict[str, Any] = {"channels": channels} if channels > 1 and len(item.images) == 1 else {}
    parts = [reading.attempt(partial(_load, file, spacing_range, **stacked)) for file in item.images]
    if channels and len(item.images) not in (1, channels):
        reading.fault("channels", f"{item.images[0]}: has {len(item.images)} channels, {channels} are expected.")
    image = parts[0]
    for file, channel in zip(item.images[1:], parts[1:], strict=True):
        if image is not None and channel is not None:
            reading.attempt(partial(check_same_grid, item.images[0], image, file, channel))
    if image is None:
        _read_label(reading, [], label_names, label_values)
        return reading
    _describe(reading, image)
    _describe_content(reading, parts)
    _read_label(reading, [part for part in parts if part is not None], label_names, label_values)
    return reading


def _load(file: str, spacing_range: Sequence[float], key: str = "image", image: str = "", **options: Any) -> MetaTensor:
    data: dict[Hashable, Any] = {"image": image, key: file}
    loaded: MetaTensor = LoadVolumed(key, spacing_range=spacing_range, **options)(data)[key]
    return loaded


def _describe(reading: Reading, image: MetaTensor) -> None:
    voxels, affine = image[0].numpy(), np.asarray(image.affine)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    reading.facts |= {
        "size": list(voxels.shape),
        "spacing": [round(float(value), 4) for value in spacing],
        "orientation": "".join(nib.aff2axcodes(affine)),
        "intensity": _intensity(voxels),
        **describe_grid(image),
    }
    reading.signature = signature(voxels, affine)
    middle = voxels.shape[2] // 2
    reading.thumbnail = slice_thumbnail(voxels[:, :, middle], (spacing[0], spacing[1]))


def _describe_content(reading: Reading, channels: Sequence[MetaTensor | None]) -> None:
    """Note channels without content, and the digest of an item whose channels could all be read."""
    digests = []
    for file, channel in zip(reading.item.images, channels, strict=True):
        if channel is not None:
            digests.append(digest(channel.numpy() if len(channel) > 1 else channel[0].numpy()))
            for number, values in enumerate(channel):
                if values.amin() == values.amax():
                    where = "all voxels" if len(channel) == 1 else f"all voxels of channel {number}"
                    problem = f"{where} have the value {float(values.amin()):g}; export it again."
                    reading.fault("empty image", f"{file}: {problem}")
    if len(digests) == len(channels):
        reading.digest = " ".join(digests)


def _intensity(voxels: np.ndarray) -> dict[str, float]:
    flat = voxels.ravel()
    low, median, high = np.percentile(flat[:: max(flat.size // MAX_SAMPLES, 1)], PERCENTILES)
    return {
        "min": float(flat.min()),
        "p1": float(low),
        "median": float(median),
        "p99": float(high),
        "max": float(flat.max()),
        "mean": float(flat.mean(dtype=np.float64)),
        "sd": float(flat.std(dtype=np.float64)),
    }


def _read_label(
    reading: Reading,
    channels: Sequence[MetaTensor],
    label_names: Mapping[str, int] | None,
    label_values: Mapping[str, Any] | None,
) -> None:
    file, image = reading.item.label, channels[0] if channels else None
    if file is None:
        return
    if reading.item.kind == "discs":
        points = reading.attempt(partial(read_points, file, image))
        if points is not None:
            check_points(reading, points, image)
        return
    table = {} if label_values is None else {"classes": label_names, "label_values": label_values}
    hidden = [IGNORED] if IGNORE in (label_values or {}) else []
    label = reading.attempt(partial(_load, file, (0, np.inf), "label", reading.item.images[0], **table))
    if label is None:
        return
    values = label[0].numpy()
    has_fractions = bool((values != np.rint(values)).any())
    if image is not None:
        reading.attempt(partial(check_same_grid, reading.item.images[0], image, file, label))
    if label_names is not None:
        reading.attempt(partial(check_label, file, label, [0, *label_names.values(), *hidden]))
    elif has_fractions:
        problem = "holds values that are not integers; take the label from before it was resampled."
        reading.fault("label values", f"{file}: {problem}")
    ignored = (label_names or {}).get(IGNORE, IGNORED)
    _describe_label(reading, values, np.asarray(label.affine), ignored)
    if image is not None and image.shape[1:] == label.shape[1:]:
        if not has_fractions:
            fitting = [channel for channel in channels if channel.shape[1:] == label.shape[1:]]
            reading.facts |= describe_structures(fitting, values, ignored)
        _draw(reading, image, values)


def _describe_label(reading: Reading, values: np.ndarray, affine: np.ndarray, ignored: int) -> None:
    found, counts = np.unique(values, return_counts=True)
    milliliters = abs(float(np.linalg.det(affine[:3, :3]))) / 1000
    foreground: list[tuple[float, int]] = [
        (float(value), int(count)) for value, count in zip(found, counts, strict=True) if value != 0
    ]
    reading.facts["voxels"] = int(values.size)
    reading.facts["classes"] = {_shown(value): count for value, count in foreground}
    reading.facts["volumes_ml"] = {_shown(value): count * milliliters for value, count in foreground}
    if all(value == ignored for value, _ in foreground):
        reading.fault("empty label", f"{reading.item.label}: {EMPTY}")
    elif sum(count for _, count in foreground) == values.size:
        reading.remark(f"{reading.item.label}: holds no background")


def _shown(value: float) -> str:
    """Return a value as text; an integer has all its digits, so that it is the same key everywhere."""
    return f"{value:.0f}" if value.is_integer() else f"{value:g}"


def _draw(reading: Reading, image: MetaTensor, values: np.ndarray) -> None:
    """Draw the slice with the largest part of the label."""
    if not values.any():
        return
    chosen = int((values != 0).sum(axis=(0, 1)).argmax())
    spacing: Any = np.linalg.norm(np.asarray(image.affine)[:3, :3], axis=0)
    reading.thumbnail = slice_thumbnail(
        image[0, :, :, chosen].numpy(), (spacing[0], spacing[1]), np.rint(values[:, :, chosen])
    )
