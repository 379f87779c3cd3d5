"""Loading of volumes of every format under the contract for bad input."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor, NibabelReader
from monai.data.utils import correct_nifti_header_if_necessary
from monai.transforms import MapTransform
from monai.transforms.io.array import switch_endianness

from bundle.utils.label_names import IGNORE, IGNORED, ignored_value

from .compressed_nifti import open_nifti
from .dicom import open_series, read_series
from .dicom_labels import read_dicom_labels
from .input_checks import (
    BadInputError,
    ChannelsError,
    UnreadableFileError,
    check_header,
    check_presence,
    check_same_grid,
    check_voxels,
)
from .itk import last_line, open_itk, read_itk
from .label_classes import LabelMap, check_label
from .label_rounding import round_labels
from .label_tables import LabelValues
from .length_units import nifti_affine
from .output_formats import check_output_format
from .volume_files import files_of, kind_of

logger = logging.getLogger(__name__)


Opened = tuple[list[str], Callable[[], MetaTensor]]
"""Remarks on a file, and what reads its voxels."""


class LoadVolumed(MapTransform):
    """Load volumes as MetaTensors ``(C, D, H, W)``, float32, and check them.

    An image is one file of one channel, a list of files, each a channel, on the same grid, or, where ``channels`` are
    given, a NIfTI file whose fourth axis holds them.

    NIfTI is read by MONAI's ``NibabelReader``; NRRD, MetaImage and a DICOM series, in a folder or a zip archive, by
    SimpleITK, with their affine turned from ITK's LPS+ to RAS+. A label may be a DICOM SEG object or an RT Structure
    Set, ``.dcm``, if the data have the path of its image.

    Remarks, on what was repaired or looks odd, are logged and kept in the metadata of the image as ``"remarks"``,
    separated by ``"; "``.

    Args:
        keys: keys of the paths to load.
        label_key: which of them is a label map; it is checked for its values and for the grid of ``image_key``.
        image_key: the image that a label belongs to.
        classes: label values that may occur, as the values of a mapping or a sequence; None for any.
        label_values: which values in the file belong to a class, ``{"structure": [2, "100-207"]}``; the label map is
            turned to the classes of these names. A value that no structure has is an error, unless ``"background"`` is
            ``"others"``. None where the file holds the classes as they are.
        ignore_label: value in the file of voxels that nobody labeled, which losses and metrics leave out, as for
            ``ignore`` of nnU-Net; they become -1. None for none, or for that of ``"ignore"`` in ``classes`` or
            ``label_values``.
        channels: number, or names in their order, of the channels that an image must have; None for any number of
            files.
        spacing_range: smallest and largest voxel size in mm.
        output_format: format in which the result will be written, see :class:`bundle.inference.SaveSegmentationd`; an
            image whose result cannot be written so is refused. None for any image.
        allow_missing_keys: skip missing keys.

    Raises:
        LabelTableError: when ``label_values`` are invalid, or name other structures than ``classes``.

    Examples:
        >>> import nibabel, tempfile
        >>> file = Path(tempfile.mkdtemp(), "scan.nii.gz")
        >>> voxels = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
        >>> nibabel.save(nibabel.Nifti1Image(voxels, np.diag([1.0, 1.0, 2.0, 1.0])), file)
        >>> image = LoadVolumed("image", spacing_range=(0.5, 3.0))({"image": file})["image"]
        >>> image.shape, image.affine.diagonal().tolist(), image.meta["remarks"]
        (torch.Size([1, 2, 3, 4]), [1.0, 1.0, 2.0, 1.0], '')
    """

    def __init__(
        self,
        keys: KeysCollection,
        *,
        image_key: str = "image",
        label_key: str = "label",
        classes: Mapping[str, int] | Sequence[int] | None = None,
        label_values: LabelValues | None = None,
        ignore_label: int | None = None,
        channels: int | Sequence[str] | None = None,
        spacing_range: Sequence[float] = (0.2, 5.0),
        output_format: str | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.image_key, self.label_key, self.spacing_range = image_key, label_key, spacing_range
        self.output_format = output_format
        named = classes if isinstance(classes, Mapping) else None
        self.ignore_label = ignored_value(named) if ignore_label is None and named is not None else ignore_label
        self.classes = classes if named is None else list(named.values())
        if label_values is not None and ignore_label is not None:
            label_values = {**label_values, IGNORE: [ignore_label]}
        self.label_map = None if label_values is None else LabelMap(label_values, named)
        self.channel_names = [] if isinstance(channels, int | None) else list(channels)
        self.channels = channels if isinstance(channels, int | None) else len(self.channel_names)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Load and check.

        Raises:
            BadInputError: of the type that says what is wrong, see :mod:`bundle.io.input_checks`.
        """
        files = {key: files_of(data[key]) for key in self.key_iterator(data)}
        opened = {key: [self._open(data, key, index) for index in range(len(files[key]))] for key in files}
        loaded = {**data, **{key: self._load(key, files[key], opened[key]) for key in files}}
        if self.label_key in files:
            self._check_label(files, loaded)
        return loaded

    def _open(self, data: Mapping[Hashable, Any], key: Hashable, index: int) -> Opened:
        file = files_of(data[key])[index]
        if key == self.label_key and kind_of(file) == "dicom object":
            check_presence(file)
            return [], partial(read_dicom_labels, file, data.get(self.image_key))
        output_format = self.output_format if key == self.image_key and index == 0 else None
        stacked = key != self.label_key and (self.channels or 1) > 1
        return _open(file, self.spacing_range, stacked=stacked, output_format=output_format)

    def _load(self, key: Hashable, files: Sequence[str], opened: Sequence[Opened]) -> MetaTensor:
        parts, remarks = [], []
        for file, (found, read) in zip(files, opened, strict=True):
            parts.append(_read(file, read))
            if key != self.label_key:
                found = found + check_voxels(file, parts[-1])
            for remark in found:
                logger.warning("%s: %s", file, remark)
            remarks += found if len(files) == 1 else [f"{Path(file).name}: {remark}" for remark in found]
        volume = _stacked(files, parts)
        if key != self.label_key:
            self._check_channels(files, volume)
        volume.meta["remarks"] = "; ".join(remarks)
        return volume

    def _check_channels(self, files: Sequence[str], image: MetaTensor) -> None:
        if self.channels is not None and len(image) != self.channels:
            named = f" ({', '.join(self.channel_names)})" if self.channel_names else ""
            raise ChannelsError(
                ", ".join(files),
                f"the image has the wrong number of channels, {len(image)}; {self.channels} are expected{named}",
                "list one file per channel, in this order, in the datalist",
            )

    def _check_label(self, files: Mapping[Hashable, Sequence[str]], loaded: dict[Hashable, Any]) -> None:
        """Check the label map, and turn its values to classes."""
        label_file, label = files[self.label_key][0], loaded[self.label_key]
        check_voxels(label_file, label)
        if self.image_key in files:
            check_same_grid(files[self.image_key][0], loaded[self.image_key], label_file, label)
        values, remark = round_labels(label_file, label.as_tensor())
        if remark:
            logger.warning("%s: %s", label_file, remark)
            remarks = [label.meta["remarks"], remark]
            loaded[self.label_key] = label = MetaTensor(values, meta=label.meta)
            label.meta["remarks"] = "; ".join(filter(None, remarks))
        if self.label_map is not None:
            loaded[self.label_key] = self.label_map(label_file, label)
        else:
            ignored = [] if self.ignore_label is None else [self.ignore_label]
            if self.classes is not None:
                check_label(label_file, label, [0, *self.classes], ignored=ignored)
            if ignored:
                label[label == self.ignore_label] = IGNORED


def _stacked(files: Sequence[str], parts: Sequence[MetaTensor]) -> MetaTensor:
    """Return the files as channels of one volume, with the metadata of the first."""
    first = parts[0]
    if len(parts) == 1:
        return first
    for file, part in zip(files[1:], parts[1:], strict=True):
        check_same_grid(files[0], first, file, part, remedy="resample all channels to one grid")
    return MetaTensor(torch.cat([part.as_tensor() for part in parts]), meta=first.meta)


def _open(
    file: str | Path, spacing_range: Sequence[float], *, stacked: bool = False, output_format: str | None = None
) -> Opened:
    """Check the header of a volume; return remarks on it and what reads its voxels."""
    kind, series = kind_of(file), None
    opened: Opened
    if kind == "dicom":
        series = open_series(file, spacing_range)
        opened = list(series.remarks), partial(read_series, series)
    elif kind == "itk":
        _, affine, remarks = open_itk(file, spacing_range)
        opened = remarks, partial(read_itk, file, affine)
    else:
        opened = check_header(file, spacing_range, stacked=stacked), partial(_read_nifti, file)
    if output_format is not None:
        check_output_format(file, series, output_format)
    return opened


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
    """Read a NIfTI file with the affine of nibabel.

    MONAI 1.6.1 (``rectify_header_sform_qform``) sets the sform to the qform where its voxel sizes differ from
    ``pixdim`` by more than rounding (1e-5).
    """
    reader = NibabelReader(squeeze_non_spatial_dims=True)
    affine = nifti_affine(nib.load(file))
    reader.read(str(file))  # get_data takes the name of the file from it
    with open_nifti(file) as image:
        voxels, meta = reader.get_data(correct_nifti_header_if_necessary(image))
    meta |= {"affine": affine, "original_affine": affine.copy()}
    meta["filename_or_obj"] = str(file)
    voxels = voxels.astype(np.float32, copy=False)
    channels = np.ascontiguousarray(np.moveaxis(voxels, 3, 0)) if voxels.ndim == 4 else voxels[None]
    return MetaTensor.ensure_torch_and_prune_meta(channels, switch_endianness(meta, "<"))
