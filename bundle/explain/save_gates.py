"""Writing of gates by the slices of the input file: table, record and figure."""

from __future__ import annotations

import csv
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.config import KeysCollection
from monai.transforms import MapTransform

from bundle.inference.case_record import RECORD, record_of_data
from bundle.utils.label_names import structures_of
from bundle.utils.write_json import write_json

from .gate_figure import save_gate_figure
from .gates import GateProfiles, LevelGates
from .input_slices import InputSlices, input_slices
from .matplotlib_check import require_matplotlib


class SaveGatesd(MapTransform):
    """Write the gates of a case by the slices of its input file: table, record and figure.

    ``<output_dir>/<case>_gates.csv`` has one row per level, channel and slice; ``<case>_gates.json`` has the mean and
    range over the channels and the share of channels for which a slice is key; ``<case>_gates.png`` shows these.

    Args:
        keys: key of the label map ``(1, D, H, W)`` that ``profiles`` returned.
        profiles: inferer that has read the gates.
        label_names: value of every structure by its name; the figure marks the slices that hold it.
        output_dir: folder to write to; made when missing.
        image_key: key of the preprocessed image; its metadata name the file.
        checkpoint: weights that were used; the record names them and their sha256.
        allow_missing_keys: do nothing for a key that is not there.

    Raises:
        ModuleNotFoundError: when matplotlib is not installed.
    """

    def __init__(
        self,
        keys: KeysCollection,
        *,
        profiles: GateProfiles,
        label_names: Mapping[str, int],
        output_dir: str | Path,
        image_key: str = "image",
        checkpoint: str | Path | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        require_matplotlib("gates")
        self.profiles, self.label_names, self.output_dir = profiles, structures_of(label_names), Path(str(output_dir))
        self.image_key, self.checkpoint = image_key, checkpoint

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Write the files of one case and complete its record, ``data["record"]``."""
        d = dict(data)
        for key in self.key_iterator(d):
            d[RECORD] = record = record_of_data(d, self.image_key)
            self.output_dir.mkdir(parents=True, exist_ok=True)
            table, figure = (self.output_dir / f"{record.case}_gates.{ending}" for ending in ("csv", "png"))
            levels = [(level, input_slices(d[self.image_key], level.axis)) for level in self.profiles.levels]
            labels = d[key].detach().cpu().numpy()[0]
            _write_table(levels, table)
            save_gate_figure(levels, figure, labels, self.label_names, title=f"{record.case}: gates of the slices")
            record.complete({"table": str(table), "figure": str(figure)}, checkpoint=self.checkpoint)
            summaries = [_summarize(level, slices) for level, slices in levels]
            write_json(self.output_dir / f"{record.case}_gates.json", {**record.to_json(), "levels": summaries})
        return d


def _write_table(levels: Sequence[tuple[LevelGates, InputSlices]], path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["level", "channel", "slice", "position_mm", "gate", "key"])
        for level, slices in levels:
            for channel in range(level.gates.shape[0]):
                for number, (near, place) in enumerate(zip(slices.nearest, slices.position_mm, strict=True)):
                    key = "" if level.keys is None else f"{level.keys[channel, near]:.6g}"
                    gate = f"{level.gates[channel, near]:.6f}"
                    writer.writerow([level.level, channel, number, f"{place:.4f}", gate, key])


def _summarize(level: LevelGates, slices: InputSlices) -> dict[str, Any]:
    gates = level.gates[:, slices.nearest].astype(float)
    keys = None if level.keys is None else level.keys[:, slices.nearest].astype(float).mean(0)
    return {
        "level": level.level,
        "channels": len(gates),
        "slices_of_level": level.own_slices,
        "input_axis": slices.axis,
        "position_mm": slices.position_mm.round(4).tolist(),
        "gate_mean": gates.mean(0).round(6).tolist(),
        "gate_min": gates.min(0).round(6).tolist(),
        "gate_max": gates.max(0).round(6).tolist(),
        "key_share": None if keys is None else keys.round(6).tolist(),
    }
