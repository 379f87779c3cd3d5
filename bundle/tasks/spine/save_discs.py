"""Writing of the discs of a case as label map, table, markups and JSON."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
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
from .discs.disc_csv import write_disc_csv
from .discs.disc_json import describe_discs
from .discs.disc_label_map import draw_label_map, write_sidecar
from .discs.disc_points import Disc, point_of
from .discs.disc_pois import write_disc_pois
from .discs.level_certainty import LevelCertainty
from .discs.levels import NUMBERINGS, Numbering, disc_value
from .discs.markups import SIGNS, CoordinateSystem, write_markups
from .slab_geometry import world_to_voxels

POSTFIX = "label-discs_dlabel"
"""Suffix of the label map of a case, as in BIDS derivatives."""


class SaveDiscsd(MapTransform):
    """Write the discs of a case.

    - ``<case>_label-discs_dlabel.nii.gz``: one voxel per disc on the grid of the input, and its BIDS sidecar, ``.json``
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
            discs, outside = split_by_grid(d[key], shape, affine)
            record.remarks += [f"{disc.name} was found outside the image and skipped" for disc in outside]
            record.remarks += [] if discs else ["no disc was found"]
            missing = [disc.name for disc in discs if disc_value(disc.value, self.numbering) is None]
            if missing:
                record.remarks.append(f"not in the label map: {', '.join(missing)} ({self.numbering} has no value)")
            certainty: LevelCertainty | None = d.get(NUMBERING)
            if certainty is not None and certainty.reasons:
                record.remarks.append(f"numbering uncertain: {'; '.join(certainty.reasons)}")
            files = self._write(record.case, discs, record.file, affine, shape)
            results = describe_discs(discs, image=record.file, affine=affine)
            results |= {} if certainty is None else certainty.describe()
            record.complete(results, files=files, checkpoint=self.checkpoint)
            record.write(self.output_dir)
        return d

    def _write(
        self, case: str, discs: Sequence[Disc], source: str, affine: np.ndarray, shape: Sequence[int]
    ) -> list[Path]:
        """Write all files except the JSON of the case."""
        self.output_dir.mkdir(parents=True, exist_ok=True)
        discs_on_map = [disc for disc in discs if disc_value(disc.value, self.numbering) is not None]
        labels = self.output_dir / f"{case}_{POSTFIX}{ENDINGS[self.output_format]}"
        voxels = draw_label_map(discs_on_map, shape, affine, numbering=self.numbering)
        save_label_map(voxels, labels, source=source, affine=affine)
        sidecar = write_sidecar(labels, numbering=self.numbering)
        table, markups = self.output_dir / f"{case}.csv", self.output_dir / f"{case}.mrk.json"
        write_disc_csv(discs, table, affine=affine, numbering=self.numbering)
        write_markups(discs, markups, coordinate_system=self.coordinate_system)
        if not self.save_pois:
            return [labels, sidecar, table, markups]
        pois = self.output_dir / f"{case}_poi.json"
        write_disc_pois(discs, pois, affine=affine, shape=shape)
        return [labels, sidecar, table, markups, pois]


def split_by_grid(discs: Sequence[Disc], shape: Sequence[int], affine: np.ndarray) -> tuple[list[Disc], list[Disc]]:
    """Return the discs in a grid, and the other discs.

    A disc less than a voxel outside to the left or right is moved into the outermost slice: its position there is
    interpolated between slabs.
    """
    inside: list[Disc] = []
    outside: list[Disc] = []
    limits = np.array(shape) - 1
    side = int(np.abs(affine[0, :3] / np.linalg.norm(affine[:3, :3], axis=0)).argmax())
    for disc in discs:
        voxel = world_to_voxels(np.array([disc.position]), affine)[0]
        if -1 < voxel[side] < 0 or limits[side] < voxel[side] < limits[side] + 1:
            voxel[side] = np.clip(voxel[side], 0, limits[side])
            disc = replace(disc, position=point_of(affine[:3, :3] @ voxel + affine[:3, 3]))
        nearest = np.rint(voxel)
        (inside if ((nearest >= 0) & (nearest <= limits)).all() else outside).append(disc)
    return inside, outside
