"""The result file of a response, in the format that the request asks for."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .label_tasks import IMAGE, LabelTask
from .request_values import read_bool
from .server_errors import RequestError

FORMATS = {".nii.gz": "nii.gz", ".nii": "nii.gz", ".nrrd": "nrrd", ".seg.nrrd": "nrrd", ".mha": "mha"}
"""``output_format`` of the configs by file extension."""

DTYPES = {
    "uint8": "sitkUInt8",
    "int8": "sitkInt8",
    "uint16": "sitkUInt16",
    "int16": "sitkInt16",
    "uint32": "sitkUInt32",
    "int32": "sitkInt32",
    "float32": "sitkFloat32",
    "float64": "sitkFloat64",
}
"""Data types that a request can ask for, and their names in SimpleITK."""


def get_format_overrides(task: LabelTask, request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the overrides of ``inference.json`` for the ``result_extension`` of a request, by config id.

    Masks of 2D images are PNG files with the gray levels of the task. With any other extension they contain the class
    numbers, for programs that read volumes.

    Raises:
        RequestError: 400, if the extension is unknown.
    """
    extension = get_extension(task, request)
    if task.kind == IMAGE:
        has_masks = "label_names" in task.config and extension != ".png"
        return {"levels": list(range(1, len(task.labels) + 1))} if has_masks else {}
    return {"output_format": FORMATS[extension]}


def get_extension(task: LabelTask, request: Mapping[str, Any]) -> str:
    """Return the file extension that a request asks for; by default ``.png`` for 2D images and ``.nii.gz`` for volumes.

    Raises:
        RequestError: 400, if the extension is unknown.
    """
    allowed = (".png", *FORMATS) if task.kind == IMAGE else tuple(FORMATS)
    requested = str(request.get("result_extension") or allowed[0])
    extension = requested if requested.startswith(".") else f".{requested}"
    if extension not in allowed:
        raise RequestError(400, f"params: result_extension must be one of {', '.join(allowed)}, got {requested!r}.")
    return extension


def write_response_file(
    file: Path, task: LabelTask, request: Mapping[str, Any], folder: Path, *, values: Mapping[int, int] | None = None
) -> Path:
    """Copy a label map for the response, converted if the request asks for another format or data type.

    Args:
        file: the label map.
        task: the task.
        request: request with ``result_extension``, ``result_dtype`` (a NumPy type) and ``result_compress``.
        folder: folder to write to.
        values: new value of every value in the label map; None keeps them.

    Returns:
        A new file, which the server deletes after sending it.

    Raises:
        RequestError: 400, if one of these options is invalid.
    """
    extension, dtype = get_extension(task, request), request.get("result_dtype")
    compress = read_bool(request, "result_compress", True)
    if dtype is not None and dtype not in DTYPES:
        raise RequestError(400, f"params: result_dtype must be one of {', '.join(DTYPES)}, got {dtype!r}.")
    with tempfile.NamedTemporaryFile(prefix="result_", suffix=extension, dir=folder, delete=False) as created:
        target = Path(created.name)
    has_format = file.name.endswith(extension.removeprefix(".seg"))
    if has_format and dtype is None and values is None and request.get("result_compress") is None:
        shutil.copyfile(file, target)
    else:
        _convert(file, target, dtype, compress, values)
    return target


def _convert(file: Path, target: Path, dtype: str | None, compress: bool, values: Mapping[int, int] | None) -> None:
    import SimpleITK as sitk  # noqa: N813 - its usual name

    image = sitk.ReadImage(str(file))
    if values is not None:
        image = sitk.ChangeLabel(image, dict(values))
    sitk.WriteImage(image if dtype is None else sitk.Cast(image, getattr(sitk, DTYPES[dtype])), str(target), compress)
