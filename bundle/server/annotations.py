"""Label maps and masks of annotators: which task one is for, its check, and its conversion to the values of a task."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from bundle.io.images import EXIF_ORIENTATION, StoredImage, read_mask, stored
from bundle.io.input_checks import LabelValuesError
from bundle.io.label_maps import save_label_map
from bundle.io.label_tables import OTHERS, LabelValues
from bundle.io.load_volume import LoadVolumed
from bundle.io.volume_files import NIFTI
from bundle.tasks.spine.discs import read_discs
from bundle.utils.errors import FileError
from bundle.utils.label_names import BACKGROUND, IGNORE, IGNORED

from .label_info import (
    INFO_KEY,
    describe_structures,
    make_label_table,
    match_names,
    normalize,
    read_label_info,
)
from .label_kinds import LABEL_MAP
from .label_tasks import IMAGE, LabelTask
from .mask_volumes import is_volume, write_mask
from .server_errors import RequestError

ANY_SPACING = (1e-3, 1e3)
"""Range of voxel sizes in mm for uploads; the models are stricter."""

MAX_POINT_VOXELS = 27
"""Largest number of voxels per value in a label map of points."""


SEGMENT_NAME = re.compile(r"Segment(\d+)_Name")
"""Key of the name of a segment in the header of a ``.seg.nrrd`` file of 3D Slicer."""


def read_names(file: str | Path, info: Mapping[str, Any], display_name: str) -> dict[int, str]:
    """Return the names of the values in a label: those that the client sent, or those in a ``.seg.nrrd`` file.

    Args:
        file: the label.
        info: info of the label.
        display_name: name of the label in error messages.

    Raises:
        RequestError: 400, if the ``label_info`` is invalid, or two segments share a value.
    """
    declared = read_label_info(info, display_name)
    if declared or not str(file).lower().endswith(".nrrd"):
        return declared
    import SimpleITK as sitk  # noqa: N813 - its usual name

    reader = sitk.ImageFileReader()
    reader.SetFileName(str(file))
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        return {}
    header = {key: reader.GetMetaData(key) for key in reader.GetMetaDataKeys()}
    segments = [match[1] for key in header if (match := SEGMENT_NAME.fullmatch(key))]
    entries = [
        {"name": header[f"Segment{number}_Name"], "idx": header.get(f"Segment{number}_LabelValue", "")}
        for number in segments
    ]
    return read_label_info({INFO_KEY: entries}, display_name)


def is_used_by(
    task: LabelTask, tasks: Sequence[LabelTask], file: str | Path, info: Mapping[str, Any], display_name: str
) -> bool:
    """Return whether a task uses a label map or mask.

    The names of its values decide or, without names, the model that predicted it. Otherwise, a task with points uses
    label maps of points and the other tasks use all others, if both are served.

    Args:
        task: the task.
        tasks: the served tasks.
        file: the label.
        info: info of the label.
        display_name: name of the label in error messages.

    Raises:
        RequestError: 400, if its ``label_info`` is invalid.
    """
    names, users = read_names(file, info, display_name), _get_users(tasks)
    if names:
        return bool(match_names(names.values(), task.all_labels))
    if info.get("model") in {user.name for user in users}:
        return bool(info["model"] == task.name)
    if len({user.has_points for user in users}) == 2:
        regions = {value for user in users if not user.has_points for value in user.labels.values()}
        is_point_map = _is_point_map(str(file), Path(file).stat().st_mtime_ns, frozenset(regions))
        return is_point_map == task.has_points
    return True


def check_annotation(
    file: str | Path, image: str | Path, tasks: Sequence[LabelTask], info: Mapping[str, Any], display_name: str
) -> None:
    """Check that the values of a label map or mask are structures of a served task.

    Args:
        file: the label.
        image: file of its image.
        tasks: the served tasks.
        info: info of the label, with ``label_info`` if the client sent names.
        display_name: name of the label in error messages.

    Raises:
        RequestError: 400, with the expected and the received structures.
    """
    names, users = read_names(file, info, display_name), _get_users(tasks)
    if not users:
        return
    try:
        if names:
            _check_names(Path(file), users, names, display_name)
        else:
            _check_values(Path(file), Path(image), users, info, display_name)
    except FileError as error:
        remedy = f"{error.remedy}."
        if _has_unknown_values(error):
            remedy = (
                f"expected {describe_structures(users)}. Save it with these values, or send the name of every value as "
                "label_info."
            )
        raise RequestError(
            400, f"{display_name}: {error.problem}; {remedy}".replace(str(file), display_name)
        ) from error


def convert_annotation(file: Path, image: Path, task: LabelTask, names: Mapping[int, str], target: Path) -> Path:
    """Return a label map or mask with the values of a task: the file itself, or a converted copy.

    Args:
        file: the label.
        image: file of its image.
        task: the task.
        names: names of its values, see :func:`.label_info.read_label_info`; empty if they are those of the task.
        target: path of the copy, without extension.

    Raises:
        FileError: if it cannot be read or contains a value without a name.
        RequestError: 400, if a mask that is stored as a volume does not fit its image.
    """
    if task.kind == IMAGE:
        if is_volume(file):
            write_mask(file, image, target.with_name(f"{target.name}.slice.png"), file.name)
            file = target.with_name(f"{target.name}.slice.png")
        return _convert_mask(file, task, names, target.with_name(f"{target.name}.png")) if names else file
    if not names and (not task.has_points or file.name.lower().endswith(NIFTI)):
        return file
    table: LabelValues = {**{name: [value] for name, value in task.labels.items()}, BACKGROUND: OTHERS}
    used = make_label_table(names, task) if names else table
    values, affine = _read_volume(file, used, task.all_labels, task.ignore_value)
    copy = target.with_name(f"{target.name}.nii.gz")
    save_label_map(values.astype(np.min_scalar_type(int(values.max()))), copy, source=file, affine=affine)
    return copy


def _has_unknown_values(error: FileError) -> bool:
    """Return whether a label has integers that are not values of a task, or masks in the place of points."""
    return ", which" in error.problem


def _get_users(tasks: Sequence[LabelTask]) -> list[LabelTask]:
    """Return the tasks that use label maps or masks."""
    return [task for task in tasks if LABEL_MAP in task.label_kinds]


def _check_names(file: Path, users: Sequence[LabelTask], names: Mapping[int, str], display_name: str) -> None:
    """Raise a RequestError if a value in a label has no name, or one that is not a structure of any task."""
    received = ", ".join(f"{name} = {value}" for value, name in names.items())
    try:
        found = _find_values(file, users, names)
    except LabelValuesError as error:
        raise RequestError(
            400,
            f"{display_name}: label_info names {received}, but the label {error.problem.split(', which')[0]}; "
            f"{'send the name of every value' if _has_unknown_values(error) else error.remedy}.",
        ) from error
    known = {BACKGROUND, *(normalize(name) for user in users for name in user.all_labels)}
    if any(user.ignore_value for user in users):
        known.add(IGNORE)
    unknown = [repr(names[value]) for value in found if normalize(names[value]) not in known]
    if unknown:
        raise RequestError(
            400,
            f"{display_name}: label_info names {received}, but {', '.join(unknown)} is not a structure here; expected "
            f"{describe_structures(users)}. Rename the segments and submit it again.",
        )


def _find_values(file: Path, users: Sequence[LabelTask], names: Mapping[int, str]) -> list[int]:
    """Return the values in a label except 0, all of which have names."""
    if users[0].kind == IMAGE:
        known = [user for user in users if match_names(names.values(), user.labels)]
        values = _read_named_mask(file, (known or users)[0], names).pixels
    else:
        table = {str(value): [value] for value in names}
        values = _read_volume(file, table, {str(value): value for value in names})[0]
    return [int(value) for value in np.unique(values) if value]


def _check_values(
    file: Path, image: Path, users: Sequence[LabelTask], info: Mapping[str, Any], display_name: str
) -> None:
    """Raise the error of the first task that uses a label, if none of them can read it."""
    errors: list[FileError] = []
    for user in users:
        if not is_used_by(user, users, file, info, display_name):
            continue
        try:
            with tempfile.TemporaryDirectory() as folder:
                _read_for_task(convert_annotation(file, image, user, {}, Path(folder, "label")), user)
        except FileError as error:
            errors.append(error)
        else:
            return
    raise errors[0]


def _read_for_task(file: Path, task: LabelTask) -> None:
    if task.kind == IMAGE:
        read_mask(file, task.levels)
    elif task.has_points:
        read_discs(file)
    else:
        load = LoadVolumed("label", classes=task.all_labels, ignore_label=task.ignore_value, spacing_range=ANY_SPACING)
        load({"label": str(file)})


def _read_volume(
    file: Path, table: LabelValues, classes: Mapping[str, int], ignore_value: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the label map ``(D, H, W)`` of a file, with its values converted to classes, and its affine."""
    used = {name: classes[name] for name in table if name not in (BACKGROUND, IGNORE)}
    load = LoadVolumed("label", classes=used, label_values=table, spacing_range=ANY_SPACING)
    label = load({"label": str(file)})["label"]
    values = label.numpy()[0].astype(np.int32)
    if ignore_value is not None:
        values[values == IGNORED] = ignore_value
    return values, np.asarray(label.affine)


def _read_named_mask(file: Path, task: LabelTask, names: Mapping[int, str]) -> StoredImage:
    """Return a mask with the values that ``label_info`` names: gray levels or, if these have no names, class numbers.

    Raises:
        LabelValuesError: if a value has no name.
    """
    mask = read_mask(file, range(1, 256))
    if _unnamed(mask, names):
        mask = read_mask(file, task.levels)
    unnamed = _unnamed(mask, names)
    if unnamed:
        shown = ", ".join(map(str, unnamed))
        raise LabelValuesError(file, f"holds the values {shown}, which have no name", "send the name of every value")
    return mask


def _unnamed(mask: StoredImage, names: Mapping[int, str]) -> list[int]:
    return sorted({int(value) for value in np.unique(mask.pixels)} - {0, *names})


def _convert_mask(file: Path, task: LabelTask, names: Mapping[int, str], target: Path) -> Path:
    """Write a mask with the gray levels of a task, as stored as the mask that it is made from."""
    mask = _read_named_mask(file, task, names)
    level_by_name = dict(zip(task.labels, task.levels, strict=True))
    lookup = np.zeros(256, np.uint8)
    for name, values in make_label_table(names, task).items():
        lookup[[value for value in values if value < len(lookup)]] = level_by_name.get(name, 0)
    image = Image.fromarray(np.ascontiguousarray(stored(lookup[mask.pixels], mask.orientation)))
    exif = image.getexif()
    exif[EXIF_ORIENTATION] = mask.orientation
    image.save(target, "PNG", exif=exif)
    return target


@lru_cache(maxsize=4096)
def _is_point_map(file: str, _stamp: int, regions: frozenset[int]) -> bool:
    """Return whether every value of a label map has few voxels, and some value is not that of a region.

    A label map that cannot be read is none.
    """
    try:
        label = LoadVolumed("label", spacing_range=ANY_SPACING)({"label": file})["label"]
    except FileError:
        return False
    values = label.as_tensor()
    found, counts = torch.unique(values[values != 0], return_counts=True)
    return not regions.issuperset(map(int, found)) and int(counts.max()) <= MAX_POINT_VOXELS
