"""The file of a result in the form that a client asks for."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .label_tasks import PICTURE, LabelTask
from .panel_options import on
from .server_errors import RequestError

FORMATS = {".nii.gz": "nii.gz", ".nii": "nii.gz", ".nrrd": "nrrd", ".seg.nrrd": "nrrd", ".mha": "mha"}
"""The ``output_format`` of the configs that is written for an ending."""

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
"""Types of numbers that a client may ask for, and what SimpleITK calls them."""


def format_of(task: LabelTask, request: Mapping[str, Any]) -> dict[str, Any]:
    """Return what ``result_extension`` of a request changes in ``inference.json``, by config id.

    Masks of pictures are PNG with the grey levels of the task; for any other ending they hold the class numbers, as
    programs for volumes want them.

    Raises:
        RequestError: 400, when the ending is unknown.
    """
    ending = extension_of(task, request)
    if task.kind == PICTURE:
        names = task.config.get("label_names", {})
        return {} if ending == ".png" or not names else {"levels": list(range(1, len(names) + 1))}
    return {"output_format": FORMATS[ending]}


def extension_of(task: LabelTask, request: Mapping[str, Any]) -> str:
    """Return the ending of the file that a client asks for; ``.png`` for pictures and else ``.nii.gz`` by itself.

    Raises:
        RequestError: 400, when no file of that ending is made.
    """
    known = (".png", *FORMATS) if task.kind == PICTURE else tuple(FORMATS)
    asked = str(request.get("result_extension") or known[0])
    ending = asked if asked.startswith(".") else f".{asked}"
    if ending not in known:
        raise RequestError(400, f"params: result_extension must be one of {', '.join(known)}, got {asked!r}.")
    return ending


def answer_file(file: Path, task: LabelTask, request: Mapping[str, Any], folder: Path) -> Path:
    """Copy a label map to where the server picks it up, converted where the request asks for another type.

    Args:
        file: what the task wrote.
        task: the task.
        request: ``result_extension``, ``result_dtype`` (a type of numpy) and ``result_compress`` are looked at.
        folder: folder to write to.

    Returns:
        A new file, which the server removes when it has sent it.

    Raises:
        RequestError: 400, when one of them cannot be used.
    """
    ending, dtype, compress = extension_of(task, request), request.get("result_dtype"), request.get("result_compress")
    if dtype is not None and dtype not in DTYPES:
        raise RequestError(400, f"params: result_dtype must be one of {', '.join(DTYPES)}, got {dtype!r}.")
    with tempfile.NamedTemporaryFile(prefix="result_", suffix=ending, dir=folder, delete=False) as made:
        target = Path(made.name)
    as_it_is = file.name.endswith(ending.removeprefix(".seg"))
    if as_it_is and dtype is None and compress is None:
        shutil.copyfile(file, target)
    else:
        _convert(file, target, dtype, True if compress is None else on("result_compress", compress))
    return target


def _convert(file: Path, target: Path, dtype: str | None, compress: bool) -> None:
    import SimpleITK as sitk  # noqa: N813 - its usual name

    image = sitk.ReadImage(str(file))
    sitk.WriteImage(image if dtype is None else sitk.Cast(image, getattr(sitk, DTYPES[dtype])), str(target), compress)
