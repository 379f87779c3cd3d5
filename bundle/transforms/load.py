"""Loading of NIfTI volumes under the contract for bad input."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from monai.config import KeysCollection
from monai.data import MetaTensor, NibabelReader
from monai.transforms import LoadImaged

from .checks import UnreadableFileError, check_header, check_label, check_same_grid, check_voxels

logger = logging.getLogger(__name__)


class LoadVolumed(LoadImaged):
    """Load volumes as MetaTensors ``(1, D, H, W)``, float32, and check them.

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
        super().__init__(
            keys,
            NibabelReader,
            ensure_channel_first=True,
            allow_missing_keys=allow_missing_keys,
            squeeze_non_spatial_dims=True,
        )
        self.image_key, self.label_key, self.spacing_range = image_key, label_key, spacing_range
        self.classes = list(classes.values()) if isinstance(classes, Mapping) else classes

    def __call__(self, data: Mapping[Hashable, Any], reader: Any = None) -> dict[Hashable, Any]:
        """Load and check.

        Raises:
            BadInputError: of the type that says what is wrong, see :mod:`bundle.transforms.checks`.
        """
        files = {key: data[key] for key in self.key_iterator(data)}
        remarks = {key: check_header(file, self.spacing_range) for key, file in files.items()}
        loaded = {**data, **{key: self._read(file, reader) for key, file in files.items()}}
        for key, file in files.items():
            if key == self.label_key:
                self._check_label(files, loaded)
            else:
                remarks[key] += check_voxels(file, loaded[key])
            for remark in remarks[key]:
                logger.warning("%s: %s", file, remark)
            loaded[key].meta["remarks"] = "; ".join(remarks[key])
        return loaded

    def _read(self, file: Any, reader: Any) -> MetaTensor:
        try:
            return self._loader(file, reader)
        except Exception as error:
            raise UnreadableFileError(
                file, f"the voxels cannot be read ({error})", "the file may be cut off; copy or export it again"
            ) from error

    def _check_label(self, files: Mapping[Hashable, Any], loaded: Mapping[Hashable, MetaTensor]) -> None:
        label_file, label = files[self.label_key], loaded[self.label_key]
        check_voxels(label_file, label)
        if self.image_key in files:
            check_same_grid(files[self.image_key], loaded[self.image_key], label_file, label)
        if self.classes is not None:
            check_label(label_file, label, [0, *self.classes])
