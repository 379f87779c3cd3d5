"""Files of the discs of a case, and what its JSON has of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bundle.inference.case_record import CaseRecord

from .discs.disc_csv import write_disc_csv
from .discs.disc_json import describe_discs
from .discs.disc_label_map import draw_label_map, write_sidecar
from .discs.disc_points import Disc, point_of
from .discs.disc_pois import write_disc_pois
from .discs.level_certainty import LevelCertainty
from .discs.level_table import write_level_table
from .discs.levels import Numbering, disc_value
from .discs.markups import CoordinateSystem, write_markups
from .slab_geometry import world_to_voxels

POSTFIX = "label-discs_dlabel"
"""Suffix of the label map of a case, as in BIDS derivatives."""


LEVEL_TABLE = "label-discs_dseg.tsv"
"""Table of the levels in the label maps of a folder."""


class DiscFiles:
    """Write the files of the discs of a case except for its JSON, see :class:`bundle.tasks.spine.SaveDiscsd`.

    Args:
        output_dir: folder to write to; created if missing.
        case: name of the case.
        numbering: values of the label map and the CSV.
        coordinate_system: ``"LPS"`` or ``"RAS"``, the frame of the points for 3D Slicer.
        ending: ending of the label map.
        save_pois: also write the points of interest of TPTBox.
    """

    def __init__(
        self,
        output_dir: Path,
        *,
        case: str,
        numbering: Numbering = "sct",
        coordinate_system: CoordinateSystem = "LPS",
        ending: str = ".nii.gz",
        save_pois: bool = False,
    ) -> None:
        self.output_dir, self.case, self.ending = output_dir, case, ending
        self.numbering, self.coordinate_system, self.save_pois = numbering, coordinate_system, save_pois

    def write(
        self,
        record: CaseRecord,
        discs: Sequence[Disc],
        certainty: LevelCertainty | None,
        grid: tuple[Sequence[int], np.ndarray],
        save: Callable[[np.ndarray, Path], None],
    ) -> tuple[list[Path], dict[str, Any]]:
        """Write the files; return them, and the entries of the JSON. The record gets the remarks.

        Args:
            record: record of the case.
            discs: the discs that were found.
            certainty: certainty of their numbering; None if unknown.
            grid: size and affine of the image.
            save: writes a label map to a file.

        Raises:
            DiscPlacementError: when two discs share a voxel of the image.
        """
        shape, affine = grid
        inside, outside = split_by_grid(discs, shape, affine)
        on_map = [disc for disc in inside if disc_value(disc.value, self.numbering) is not None]
        missing = [disc.name for disc in inside if disc not in on_map]
        record.remarks += [f"{disc.name} was found outside the image and skipped" for disc in outside]
        record.remarks += [] if inside else ["no disc was found"]
        if missing:
            record.remarks.append(f"not in the label map: {', '.join(missing)} ({self.numbering} has no value)")
        if certainty is not None and certainty.reasons:
            record.remarks.append(f"numbering uncertain: {'; '.join(certainty.reasons)}")
        self.output_dir.mkdir(parents=True, exist_ok=True)
        labels = self.output_dir / f"{self.case}_{POSTFIX}{self.ending}"
        write_level_table(self.output_dir / LEVEL_TABLE, numbering=self.numbering)
        save(draw_label_map(on_map, shape, affine, numbering=self.numbering), labels)
        files = [labels, write_sidecar(labels, numbering=self.numbering), *self._write_points(inside, shape, affine)]
        results = describe_discs(inside, image=record.file, affine=affine)
        return files, results | ({} if certainty is None else certainty.describe())

    def _write_points(self, discs: Sequence[Disc], shape: Sequence[int], affine: np.ndarray) -> list[Path]:
        table, markups = self.output_dir / f"{self.case}.csv", self.output_dir / f"{self.case}.mrk.json"
        write_disc_csv(discs, table, affine=affine, numbering=self.numbering)
        write_markups(discs, markups, coordinate_system=self.coordinate_system)
        if not self.save_pois:
            return [table, markups]
        pois = self.output_dir / f"{self.case}_poi.json"
        write_disc_pois(discs, pois, affine=affine, shape=shape)
        return [table, markups, pois]


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
