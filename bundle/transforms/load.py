"""Loading of volumes of every format under the contract for bad input."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from monai.config import KeysCollection
from monai.data import MetaTensor, NibabelReader
from monai.transforms import MapTransform
from monai.transforms.io.array import switch_endianness

from ..volume_files import kind_of
from .checks import BadInputError, UnreadableFileError, check_header, check_label, check_same_grid, check_voxels
from .dicom import open_series, read_series
from .itk import last_line, open_itk, read_itk

logger = logging.getLogger(__name__)


class LoadVolumed(MapTransform):
    """Load volumes as MetaTensors ``(1, D, H, W)``, float32, and check them.

    NIfTI is read by MONAI's ``NibabelReader``; NRRD, MetaImage and a DICOM series, in a folder or a zip archive, by
    SimpleITK, with their affine turned from ITK's LPS+ to RAS+.

    What was repaired or looks odd is logged, and kept in the metadata of the image as ``"remarks"``.

    Args:
        keys: keys of the paths to load.
        label_key: which of them is a label map; it is checked for its values and for the grid of ``image_key``.
        image_key: the image that a label belongs to.
        classes: label values that may occur, as the values of a mapping or a sequence; None for any.
        spacing_range: smallest and largest voxel size in mm.
        allow_missing_keys: do nothing for a key that is not there.
    """

    def __init__(
        self,
        keys: KeysCollection,
        *,
        image_key: str = "image",
        label_key: str = "label",
        classes: Mapping[str, int] | Sequence[int] | None = None,
        spacing_range: Sequence[float] = (0.2, 5.0),
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.image_key, self.label_key, self.spacing_range = image_key, label_key, spacing_range
        self.classes = list(classes.values()) if isinstance(classes, Mapping) else classes

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Load and check.

        Raises:
            BadInputError: of the type that says what is wrong, see :mod:`bundle.transforms.checks`.
        """
        files = {key: data[key] for key in self.key_iterator(data)}
        opened = {key: _open(file, self.spacing_range) for key, file in files.items()}
        remarks = {key: found for key, (found, _) in opened.items()}
        loaded = {**data, **{key: _read(files[key], read) for key, (_, read) in opened.items()}}
        for key, file in files.items():
            if key == self.label_key:
                self._check_label(files, loaded)
            else:
                remarks[key] += check_voxels(file, loaded[key])
            for remark in remarks[key]:
                logger.warning("%s: %s", file, remark)
            loaded[key].meta["remarks"] = "; ".join(remarks[key])
        return loaded

    def _check_label(self, files: Mapping[Hashable, Any], loaded: Mapping[Hashable, MetaTensor]) -> None:
        label_file, label = files[self.label_key], loaded[self.label_key]
        check_voxels(label_file, label)
        if self.image_key in files:
            check_same_grid(files[self.image_key], loaded[self.image_key], label_file, label)
        if self.classes is not None:
            check_label(label_file, label, [0, *self.classes])


def _open(file: str | Path, spacing_range: Sequence[float]) -> tuple[list[str], Callable[[], MetaTensor]]:
    """Check the header of a volume; return remarks on it and what reads its voxels."""
    kind = kind_of(file)
    if kind == "dicom":
        series = open_series(file, spacing_range)
        return list(series.remarks), partial(read_series, series)
    if kind == "itk":
        _, affine = open_itk(file, spacing_range)
        return [], partial(read_itk, file, affine)
    return check_header(file, spacing_range), partial(_read_nifti, file)


def _read(file: str | Path, read: Callable[[], MetaTensor]) -> MetaTensor:
    try:
        return read()
    except (BadInputError, MemoryError):
        raise
    except Exception as error:
        raise UnreadableFileError(
            file, f"the voxels cannot be read ({last_line(error)})", "the file may be cut off; copy or export it again"
        ) from error


def _read_nifti(file: str | Path) -> MetaTensor:
    reader = NibabelReader(squeeze_non_spatial_dims=True)
    voxels, meta = reader.get_data(reader.read(str(file)))
    meta["filename_or_obj"] = str(file)
    voxels = voxels.astype(np.float32, copy=False)
    return MetaTensor.ensure_torch_and_prune_meta(voxels[None], switch_endianness(meta, "<"))
