"""Writing of the discs of a case as label map, table, markups and JSON."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from monai.config import KeysCollection
from monai.transforms import MapTransform

from bundle.inference.case_record import RECORD, record_of_data
from bundle.io.label_maps import save_label_map, source_grid
from bundle.io.output_formats import DICOM_PACKAGES, ENDINGS
from bundle.utils.check_choice import check_choice
from bundle.utils.parse_bool import parse_bool

from .disc_decode import NUMBERING
from .disc_files import DiscFiles
from .discs.levels import NUMBERINGS, Numbering
from .discs.markups import SIGNS, CoordinateSystem


class SaveDiscsd(MapTransform):
    """Write the discs of a case.

    - ``<case>_label-discs_dlabel.nii.gz``: one voxel per disc on the grid of the input, and its BIDS sidecar, ``.json``
    - ``label-discs_dseg.tsv``: value, name and color of every level, one table for all cases
    - ``<case>.csv``: one row per disc: number, name, R, A, S in mm, voxel, confidence
    - ``<case>.mrk.json``: points for 3D Slicer
    - ``<case>_poi.json``: points of interest of TPTBox, on request
    - ``<case>.json``: the discs, the certainty of their numbering (``data["numbering"]``), with the input, the seconds,
      the weights and the versions

    Discs outside the input are skipped, with an entry in ``"remarks"``; so are those that the numbering has no value
    for, in the label map alone.

    Args:
        keys: key of the discs, a list of :class:`bundle.tasks.spine.discs.Disc`.
        output_dir: folder to write to; created if missing.
        image_key: key of the input image, whose metadata name the file.
        checkpoint: file of the weights, for the JSON.
        numbering: values of the label map and the CSV: ``"sct"`` (3 is C2-C3), ``"totalspineseg"`` (63), ``"verse"``
            (102), or ``"sct_template"``, as ``"sct"`` without the discs below L1-L2 in the label map, which
            ``sct_register_to_template -ldisc`` refuses.
        coordinate_system: ``"LPS"`` or ``"RAS"``, the frame of the points for 3D Slicer.
        output_format: ``"nii.gz"``, ``"nrrd"`` or ``"mha"`` for the label map.
        save_pois: also write the points of interest of TPTBox.

    Raises:
        ValueError: when an option has none of these values.
    """

    def __init__(
        self,
        keys: KeysCollection,
        *,
        output_dir: str | Path,
        image_key: str = "image",
        checkpoint: str | Path | None = None,
        numbering: Numbering = "sct",
        coordinate_system: CoordinateSystem = "LPS",
        output_format: str = "nii.gz",
        save_pois: bool | str = False,
    ) -> None:
        super().__init__(keys)
        check_choice("numbering", numbering, NUMBERINGS)
        check_choice("coordinate_system", coordinate_system, SIGNS)
        check_choice("output_format", output_format, [name for name in ENDINGS if name not in DICOM_PACKAGES])
        self.output_dir, self.image_key, self.checkpoint = Path(str(output_dir)), image_key, checkpoint
        self.numbering, self.coordinate_system, self.output_format = numbering, coordinate_system, output_format
        self.save_pois = parse_bool("save_pois", save_pois)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Write the files of one case and complete its record, ``data["record"]``.

        Raises:
            DiscPlacementError: when two discs share a voxel of the input.
        """
        d = dict(data)
        for key in self.key_iterator(d):
            d[RECORD] = record = record_of_data(d, self.image_key)
            shape, affine = source_grid(record.file)
            files = DiscFiles(
                self.output_dir,
                case=record.case,
                numbering=self.numbering,
                coordinate_system=self.coordinate_system,
                ending=ENDINGS[self.output_format],
                save_pois=self.save_pois,
            )

            def save(voxels: np.ndarray, target: Path, source: str = record.file, grid: np.ndarray = affine) -> None:
                save_label_map(voxels, target, source=source, affine=grid)

            written, results = files.write(record, d[key], d.get(NUMBERING), (shape, affine), save)
            record.complete(results, files=written, checkpoint=self.checkpoint)
            record.write(self.output_dir)
        return d
