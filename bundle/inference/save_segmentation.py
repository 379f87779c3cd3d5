"""Writing of the results of a case: the label map on the grid of the input, and the JSON of the case."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform

from bundle.io.label_maps import save_label_map
from bundle.io.label_table import write_label_table
from bundle.io.output_formats import DICOM_PACKAGES, ENDINGS
from bundle.utils.check_choice import check_choice
from bundle.utils.label_names import structures_of
from bundle.utils.parse_bool import parse_bool
from bundle.visualize.overlay import Overlay

from .background_writer import BackgroundWriter, run_or_submit
from .case_findings import LabelNames, flat_names
from .case_record import RECORD, CaseRecord, record_of_data
from .describe_segmentation import describe_segmentation


class SaveSegmentationd(MapTransform):
    """Write ``<output_dir>/<case>_<postfix>.nii.gz`` and then ``<output_dir>/<case>.json``.

    The label map has the smallest unsigned integer type that holds the classes, and the geometry of the input file: of
    a NIfTI file its sform, its qform and their codes. Files are written atomically. The JSON holds the SHA-256 of the
    files and their provenance, by which a later run finds the case completed
    (:class:`bundle.inference.CompletedCases`).

    ``<output_dir>/<case>_dseg.tsv`` holds values and names, as in BIDS. Of a result with regions
    (:class:`bundle.inference.RegionInferer`), the JSON has the volumes by region and their asymmetry, too.

    Every structure has its components and its share on the border of the scan
    (:func:`bundle.inference.label_components.measure_components`), and its confidence, where the inferer measured it.

    Confidence maps, ``<key>_<name>`` in the data, are written as ``<case>_<name>``, uint8 with 255 for 1; their mean
    for each structure stands in the JSON as ``mean_<name>``.

    Args:
        keys: key of the label map ``(1, D, H, W)``, on the grid of the input file.
        label_names: value of every structure by its name, without the background.
        output_dir: folder to write to; created when missing.
        image_key: key of the input image; its metadata names the file.
        checkpoint: file of the weights; the JSON has its path and SHA-256.
        postfix: part of the file name after the name of the case.
        output_format: ``"nii.gz"``, ``"nrrd"``, ``"mha"`` or, for DICOM input, ``"dicom_seg"`` (type BINARY),
            ``"dicom_seg_labelmap"`` or ``"rtstruct"``; confidence maps are written as NIfTI then. Pass it to
            :class:`bundle.io.LoadVolumed` too, so that an input that does not fit is refused before the network runs.
        maps: names of the confidence maps, see :class:`bundle.grid.SplitConfidenceMapsd`.
        overlay: whether ``<case>_overlay.png`` is written, see :class:`bundle.visualize.Overlay`; text such as
            ``"true"`` of a command line is understood.
        writer: background thread that writes; None writes before the call returns.
        allow_missing_keys: skip missing keys.

    Raises:
        ValueError: when ``output_format`` is unknown, or ``overlay`` is neither true nor false.
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
        output_format: str = "nii.gz",
        maps: Sequence[str] = (),
        overlay: bool | int | str = False,
        writer: BackgroundWriter | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        check_choice("output_format", output_format, ENDINGS)
        self.output_format, self.maps, self.writer = output_format, list(maps), writer
        self.label_names, self.output_dir, self.postfix = structures_of(label_names), Path(str(output_dir)), postfix
        self.image_key, self.checkpoint = image_key, checkpoint
        self.overlay = parse_bool("overlay", overlay)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Write the files of one case and complete its record, ``data["record"]``.

        Raises:
            GridMismatchError: when the label map does not lie on the grid of the input file.
            OutputFormatError: when the input cannot be written in the output format.
            ValueError: when a confidence map is missing.
        """
        d = dict(data)
        for key in self.key_iterator(d):
            d[RECORD] = record = record_of_data(d, self.image_key)
            missing = [name for name in self.maps if f"{key}_{name}" not in d]
            if missing:
                raise ValueError(f"the data lack the confidence maps {missing}; add SplitConfidenceMapsd before.")
            maps = {name: _array(d[f"{key}_{name}"], np.uint8) for name in self.maps}
            dtype = np.min_scalar_type(max(flat_names(self._groups(record)).values()))
            labels, affine = _array(d[key], dtype), np.asarray(d[key].affine)
            overlay = self._overlay(d, record, labels, affine) if self.overlay else None
            run_or_submit(self.writer, record, partial(self._write, record, labels, maps, affine, overlay))
        return d

    def _overlay(
        self, data: Mapping[Hashable, Any], record: CaseRecord, labels: np.ndarray, affine: np.ndarray
    ) -> Overlay:
        """Sample the planes of the overlay here, so that the image does not wait in memory for the writer."""
        image = data[self.image_key]
        values = image.as_tensor()[0].detach().cpu().numpy()
        return Overlay((values, np.asarray(image.affine)), (labels, affine), groups=self._groups(record))

    def _groups(self, record: CaseRecord) -> LabelNames:
        """Return the values in the label map of a case by region and structure."""
        return {"": self.label_names} if record.findings is None else record.findings.label_names

    def _write(
        self,
        record: CaseRecord,
        labels: np.ndarray,
        maps: Mapping[str, np.ndarray],
        affine: np.ndarray,
        overlay: Overlay | None,
    ) -> None:
        self.output_dir.mkdir(parents=True, exist_ok=True)
        groups = self._groups(record)
        names = flat_names(groups)
        target = self.output_dir / f"{record.case}_{self.postfix}{ENDINGS[self.output_format]}"
        spacing = save_label_map(
            labels,
            target,
            source=record.file,
            affine=affine,
            label_names=names,
            dicom_format=self.output_format,
        )
        files = [target, self.output_dir / f"{record.case}_dseg.tsv"]
        write_label_table(files[-1], names)
        for name, values in maps.items():
            ending = ENDINGS["nii.gz" if self.output_format in DICOM_PACKAGES else self.output_format]
            files.append(self.output_dir / f"{record.case}_{name}{ending}")
            save_label_map(values, files[-1], source=record.file, affine=affine)
        if overlay is not None:
            files.append(self.output_dir / f"{record.case}_overlay.png")
            overlay.save(files[-1])
        numbers = {} if record.findings is None else record.findings.numbers
        results = describe_segmentation(labels, spacing, groups, output=target, numbers=numbers, maps=maps)
        record.complete(results, files=files, checkpoint=self.checkpoint)
        record.write(self.output_dir)


def _array(values: torch.Tensor, dtype: Any) -> np.ndarray:
    return values.detach().cpu().numpy()[0].astype(dtype, copy=False)
