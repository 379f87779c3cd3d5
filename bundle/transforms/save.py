"""Writing of a case's results: the label map on the input's own grid and what is known about it as JSON."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import time
from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from monai.config import KeysCollection
from monai.transforms import MapTransform

from .. import __version__
from .checks import GridMismatchError, grid_distance

PACKAGES = ("monai", "torch", "numpy", "nibabel")


class SaveCased(MapTransform):
    """Write ``<output_dir>/<case>_<postfix>.nii.gz`` and ``<output_dir>/<case>.json``.

    The label map has the smallest unsigned integer type that holds the classes, and the geometry of the input file: its
    sform, its qform and their codes. A file appears under its name only when it is complete.

    Args:
        keys: key of the label map ``(1, D, H, W)``, on the grid of the input file.
        label_names: value of every structure by its name, without the background.
        output_dir: folder to write to; made when missing.
        image_key: key of the input image; its metadata names the file.
        checkpoint: weights that were used; the JSON names them and their sha256.
        postfix: behind the name of the case.
        allow_missing_keys: do nothing for a key that is not there.
    """

    def __init__(
        self,
        keys: KeysCollection,
        *,
        label_names: Mapping[str, int],
        output_dir: str | Path,
        image_key: str = "image",
        checkpoint: str | Path | None = None,
        postfix: str = "seg",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.label_names, self.output_dir, self.postfix = dict(label_names), Path(str(output_dir)), postfix
        self.image_key, self.checkpoint = image_key, checkpoint
        self.dtype = np.min_scalar_type(max(self.label_names.values()))

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Write the files of one case and add their record as ``data["result"]``.

        Raises:
            GridMismatchError: when the label map does not lie on the grid of the input file.
        """
        d = dict(data)
        for key in self.key_iterator(d):
            meta = d[self.image_key].meta
            source = str(meta["filename_or_obj"])
            case = str(d.get("case", Path(source).name.removesuffix(".gz").removesuffix(".nii")))
            labels = d[key].detach().cpu().numpy()[0].astype(self.dtype)
            self.output_dir.mkdir(parents=True, exist_ok=True)
            target = self.output_dir / f"{case}_{self.postfix}.nii.gz"
            spacing = save_label_map(labels, target, source=source, affine=np.asarray(d[key].affine))
            record = {
                "case": case,
                "input": source,
                "output": str(target),
                "shape": list(labels.shape),
                "spacing_mm": [round(float(size), 6) for size in spacing],
                "labels": self._volumes(labels, float(np.prod(spacing))),
                "remarks": [remark for remark in str(meta.get("remarks", "")).split("; ") if remark],
                "seconds": round(time.perf_counter() - float(d["started"]), 3) if "started" in d else None,
                "checkpoint": describe_checkpoint(self.checkpoint),
                "versions": versions(),
            }
            with _whole(self.output_dir / f"{case}.json") as file:
                file.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
            d["result"] = record
        return d

    def _volumes(self, labels: np.ndarray, voxel_mm3: float) -> dict[str, dict[str, float]]:
        voxels = {name: int(np.count_nonzero(labels == value)) for name, value in self.label_names.items()}
        return {
            name: {"value": value, "voxels": voxels[name], "volume_mm3": round(voxels[name] * voxel_mm3, 3)}
            for name, value in self.label_names.items()
        }


def save_label_map(labels: np.ndarray, target: str | Path, *, source: str | Path, affine: np.ndarray) -> np.ndarray:
    """Write a label map with the geometry of the NIfTI file ``source``; return the voxel size in mm.

    Args:
        labels: integer label map ``(D, H, W)``.
        target: file to write, ``.nii.gz``.
        source: file whose grid the label map lies on.
        affine: affine that the label map claims to have.

    Raises:
        GridMismatchError: when shape or affine are not those of ``source``.
    """
    reference: Any = nib.load(source)
    shape = reference.shape[:3]
    if labels.shape != shape or grid_distance(reference.affine, affine, shape) > 1e-3:
        raise GridMismatchError(
            target,
            f"the result {labels.shape} is not on the grid of its input {shape}",
            "report this as a fault of the bundle",
        )
    header = reference.header.copy()
    header.set_data_dtype(labels.dtype)
    header.set_slope_inter(1, 0)
    header["cal_max"] = header["cal_min"] = 0
    header["descrip"] = f"keyslice {__version__}".encode()
    with _whole(Path(target)) as file:
        nib.save(type(reference)(labels, None, header), file)
    return np.linalg.norm(reference.affine[:3, :3], axis=0)


@contextmanager
def _whole(target: Path) -> Iterator[Path]:
    """Give a name to write to and rename that file at the end, so that no reader ever sees a part of ``target``."""
    partial = target.with_name(f".partial_{target.name}")
    try:
        yield partial
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)


def versions() -> dict[str, str]:
    """Return the versions of this project, of Python and of the packages that results depend on."""
    return {"keyslice": __version__, "python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def describe_checkpoint(checkpoint: str | Path | None) -> dict[str, str] | None:
    """Return path and sha256 of a weights file, or None for None."""
    if not checkpoint:
        return None
    return {"path": str(checkpoint), "sha256": _sha256(str(checkpoint), Path(checkpoint).stat().st_mtime_ns)}


@lru_cache(maxsize=8)
def _sha256(path: str, changed: int) -> str:
    """Hash a file; ``changed``, when it was, keeps a rewritten one from being answered from the cache."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
