"""Writing of a case's results: the label map on the input's own grid and what is known about it as JSON."""

from __future__ import annotations

import time
from collections.abc import Hashable, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from monai.config import KeysCollection
from monai.transforms import MapTransform

from bundle.io.label_maps import ENDINGS, save_label_map
from bundle.io.volume_files import stem_of
from bundle.utils.digests import sha256_of_file
from bundle.utils.versions import versions
from bundle.utils.write_json import write_json

from .background_writer import BackgroundWriter
from .resume import MADE_FROM


class SaveSegmentationd(MapTransform):
    """Write ``<output_dir>/<case>_<postfix>.nii.gz`` and, behind it, ``<output_dir>/<case>.json``.

    The label map has the smallest unsigned integer type that holds the classes, and the geometry of the input file, of
    a NIfTI file its sform, its qform and their codes. A file appears under its name only when it is complete. The JSON
    holds the sha256 of the files and what they were made from, so that a later run can tell whether they are done
    (:class:`bundle.inference.resume.DoneCases`).

    Maps of confidence, ``<key>_<name>`` beside the label map, are written as ``<case>_<name>``, uint8 with 255 for 1,
    and their means a structure, ``"confidence"`` in the metadata of the label map, stand in the JSON.

    Args:
        keys: key of the label map ``(1, D, H, W)``, on the grid of the input file.
        label_names: value of every structure by its name, without the background.
        output_dir: folder to write to; made when missing.
        image_key: key of the input image; its metadata names the file.
        checkpoint: weights that were used; the JSON names them and their sha256.
        postfix: behind the name of the case.
        output_format: ``"nii.gz"``, ``"nrrd"``, ``"mha"`` or, for DICOM input, ``"dicom_seg"``. Maps of DICOM input are
            written as NIfTI then.
        maps: names of maps of confidence to write where they are there.
        writer: thread to write in; ``data["result"]`` is then left out, see ``results`` of the writer. None writes
            before the call returns.
        allow_missing_keys: do nothing for a key that is not there.

    Raises:
        ValueError: when ``output_format`` is unknown.
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
        writer: BackgroundWriter | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        if output_format not in ENDINGS:
            raise ValueError(f"output_format must be one of {', '.join(ENDINGS)}, got {output_format!r}.")
        self.output_format, self.maps, self.writer = output_format, list(maps), writer
        self.label_names, self.output_dir, self.postfix = dict(label_names), Path(str(output_dir)), postfix
        self.image_key, self.checkpoint = image_key, checkpoint
        self.dtype = np.min_scalar_type(max(self.label_names.values()))

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Write the files of one case and add their record as ``data["result"]``.

        Raises:
            GridMismatchError: when the label map does not lie on the grid of the input file.
            OutputFormatError: when the input cannot be written in the output format.
        """
        d = dict(data)
        for key in self.key_iterator(d):
            meta = d[self.image_key].meta
            source = str(meta["filename_or_obj"])
            record = {
                "case": str(d.get("case", stem_of(source))),
                "input": source,
                "remarks": [remark for remark in str(meta.get("remarks", "")).split("; ") if remark],
                "plan": d[key].meta.get("plan"),
                **made_from(d),
            }
            maps = {name: d[f"{key}_{name}"] for name in self.maps if f"{key}_{name}" in d}
            arrays = {
                name: values.detach().cpu().numpy()[0].astype(np.uint8, copy=False) for name, values in maps.items()
            }
            labels = d[key].detach().cpu().numpy()[0].astype(self.dtype, copy=False)
            confidence = d[key].meta.get("confidence", {})
            started = float(d["started"]) if "started" in d else None
            job = partial(self._write, record, labels, arrays, np.asarray(d[key].affine), confidence, started)
            if self.writer is None:
                d["result"] = job()
            else:
                self.writer.submit({"case": record["case"], "image": source}, job)
        return d

    def _write(
        self,
        record: dict[str, Any],
        labels: np.ndarray,
        maps: Mapping[str, np.ndarray],
        affine: np.ndarray,
        confidence: Mapping[str, Mapping[int, float]],
        started: float | None,
    ) -> dict[str, Any]:
        """Write the files of a case and return the completed record."""
        case, source = record["case"], record["input"]
        self.output_dir.mkdir(parents=True, exist_ok=True)
        target = self.output_dir / f"{case}_{self.postfix}{ENDINGS[self.output_format]}"
        spacing = save_label_map(labels, target, source=source, affine=affine, label_names=self.label_names)
        files = [target]
        for name, values in maps.items():
            ending = ENDINGS["nii.gz" if self.output_format == "dicom_seg" else self.output_format]
            files.append(self.output_dir / f"{case}_{name}{ending}")
            save_label_map(values, files[-1], source=source, affine=affine)
        complete = {
            "case": case,
            "input": source,
            "output": str(target),
            "shape": list(labels.shape),
            "spacing_mm": [round(float(size), 6) for size in spacing],
            "labels": self._volumes(labels, float(np.prod(spacing)), confidence),
            "remarks": record["remarks"],
            "seconds": None if started is None else round(time.perf_counter() - started, 3),
            "checkpoint": describe_checkpoint(self.checkpoint),
            "plan": record["plan"],
            "versions": versions(),
            "files": {file.name: sha256_of_file(file) for file in files},
            **({MADE_FROM: record[MADE_FROM]} if MADE_FROM in record else {}),
        }
        write_json(self.output_dir / f"{case}.json", complete)
        return complete

    def _volumes(
        self, labels: np.ndarray, voxel_mm3: float, confidence: Mapping[str, Mapping[int, float]]
    ) -> dict[str, dict[str, float]]:
        length = max(int(labels.max()), *self.label_names.values()) + 1
        counts = np.zeros(length, dtype=np.int64)
        for plane in labels:
            counts += np.bincount(plane.ravel(), minlength=length)
        return {
            name: {
                "value": value,
                "voxels": int(counts[value]),
                "volume_mm3": round(int(counts[value]) * voxel_mm3, 3),
                **{f"mean_{kind}": round(means[value], 4) for kind, means in confidence.items() if value in means},
            }
            for name, value in self.label_names.items()
        }


def describe_checkpoint(checkpoint: str | Path | None) -> dict[str, str] | None:
    """Return path and sha256 of a weights file, or None for None."""
    if not checkpoint:
        return None
    return {"path": str(checkpoint), "sha256": _sha256(str(checkpoint), Path(checkpoint).stat().st_mtime_ns)}


@lru_cache(maxsize=8)
def _sha256(path: str, changed: int) -> str:
    """Hash a file; ``changed``, when it was, keeps a rewritten one from being answered from the cache."""
    return sha256_of_file(path)


def made_from(data: Mapping[Hashable, Any]) -> dict[str, dict[str, str]]:
    """Return what a result is made from, for a later run, where the case tells it."""
    if MADE_FROM not in data:
        return {}
    settings, state = str(data[MADE_FROM]).split()
    return {MADE_FROM: {"settings": settings, "input": state}}
