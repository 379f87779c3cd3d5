"""Restoring the original size of an image, and writing of its results."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform
from PIL import Image

from bundle.grid.crop_border import content_of, restore_border
from bundle.inference.background_writer import BackgroundWriter, run_or_submit
from bundle.inference.case_record import RECORD, CaseRecord, record_of_data
from bundle.io.images import read_image
from bundle.io.input_checks import GridMismatchError
from bundle.metrics.instances import measure_objects, separate_objects
from bundle.results.image_rows import OBJECT_COLUMNS, OBJECT_TABLE, TABLE, object_rows, structure_rows
from bundle.utils.atomic_write import atomic_write
from bundle.utils.check_choice import check_choice
from bundle.utils.label_names import structures_of
from bundle.utils.parse_bool import parse_bool

from .image_table import ImageTable
from .mask_decision import MaskDecision
from .mask_overlay import overlay
from .mask_results import describe_mask, measure_mask, probability_maps, save_gray_png

OUTPUTS: dict[str, Any] = {"postfix": "seg", "probability": True, "overlay": True, "objects": False}
"""Options of the files of an image, with their defaults."""


class RestoreImageSized(MapTransform):
    """Resize maps ``(C, h, w)``, such as logits, to the size of the file of their image.

    Values are interpolated linearly, with smoothing where the map is larger than the file. The size is
    ``"original_size"`` of :class:`.LoadColorImaged`; a map that has it is kept as it is. In a border that
    :class:`bundle.grid.CropConstantBorderd` has cropped, logits are those of the background.

    Args:
        keys: keys of the maps.
        image_key: key of the image.
        allow_missing_keys: skip missing keys.

    Examples:
        >>> image = MetaTensor(torch.zeros(3, 64, 64), meta={"original_size": (100, 150)})
        >>> RestoreImageSized("pred")({"image": image, "pred": torch.zeros(1, 64, 64)})["pred"].shape
        torch.Size([1, 100, 150])
    """

    def __init__(self, keys: KeysCollection, *, image_key: str = "image", allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.image_key = image_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Resize the maps; they get the metadata of the image."""
        d = dict(data)
        meta = d[self.image_key].meta
        size = _original_size(meta)
        content = content_of(d[self.image_key])
        inner = size if content is None else tuple(part.stop - part.start for part in content[0])
        for key in self.key_iterator(d):
            values = torch.as_tensor(d[key])
            if tuple(values.shape[1:]) != size:
                values = torch.nn.functional.interpolate(
                    values[None].float(), size=inner, mode="bilinear", antialias=True
                )[0]
                values = restore_border(values, d[self.image_key])
            d[key] = MetaTensor(values, meta=dict(meta))
        return d


class SaveMaskd(MapTransform):
    """Write the results of an image at the size of its file, with their measurements and provenance.

    - ``<case>_<postfix>.png``: the mask, 8-bit gray, 0 for the background and the gray level of every class, with the
      EXIF orientation of the image, if any;
    - ``<case>_probability.png``: the probability times 255; for several classes one file each, with the name of the
      class as suffix;
    - ``<case>_overlay.jpg``: contour and tint on the image; with a reference in ``label_key``, true and false positives
      and false negatives, see :func:`.mask_overlay.overlay`;
    - ``<case>_objects.png``, if wanted: the number of the object, such as a cell, that a pixel belongs to, 16-bit gray;
      touching objects are separated as by :func:`bundle.metrics.instances.separate_objects`. Their measurements are
      rows of ``objects.csv``, their number and median area stand in the JSON, their borders on the overlay;
    - one row per structure in ``images.csv``, see :class:`.ImageTable`;
    - ``<case>.json``: measurements and provenance, as :class:`.SaveSegmentationd`.

    Args:
        keys: key of the probabilities at the size of the file: ``(1, H, W)`` of one class against the background, or
            ``(1 + C, H, W)`` with the background first.
        label_names: value of every structure by its name, 1 to C.
        output_dir: folder to write to; created if missing.
        levels: gray level of every class in the mask.
        decision: ``threshold``, ``region_confidence`` and ``single_region`` of :class:`.MaskDecision`.
        outputs: ``postfix`` of the mask (``"seg"``; that of ISIC is ``"segmentation"``), and whether ``probability``
            and ``overlay`` (True) and single ``objects`` (False) are written.
        image_key: key of the image, whose metadata name the file.
        label_key: key of the reference ``(1, H, W)`` at the size of the file, if any.
        checkpoint: file of the weights, for the JSON.
        writer: background thread that writes; None writes before the call returns.
        allow_missing_keys: skip missing keys.

    Raises:
        ValueError: when values, levels or an option are invalid.

    Examples:
        >>> options = {"decision": {"threshold": 0.4}, "outputs": {"overlay": False}}
        >>> save = SaveMaskd("pred", label_names={"lesion": 1}, output_dir="out", **options)
        >>> save.levels.tolist(), save.overlay, save.probability
        ([0, 255], False, True)
    """

    def __init__(
        self,
        keys: KeysCollection,
        *,
        label_names: Mapping[str, int],
        output_dir: str | Path,
        levels: Sequence[int] = (255,),
        decision: Mapping[str, Any] | None = None,
        outputs: Mapping[str, Any] | None = None,
        image_key: str = "image",
        label_key: str = "label",
        checkpoint: str | Path | None = None,
        writer: BackgroundWriter | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        label_names = structures_of(label_names)
        if len(levels) != len(label_names):
            raise ValueError(f"every class needs a level, got {dict(label_names)} and the levels {list(levels)}.")
        self.decision = MaskDecision(label_names, **(decision or {}))
        options = {**OUTPUTS, **(outputs or {})}
        for name in options:
            check_choice("outputs", name, OUTPUTS)
        self.postfix = str(options["postfix"])
        self.probability, self.overlay, self.objects = (
            parse_bool(name, options[name]) for name in ("probability", "overlay", "objects")
        )
        self.label_names, self.output_dir = dict(label_names), Path(str(output_dir))
        self.levels = np.array([0, *levels], dtype=np.uint8)
        self.image_key, self.label_key, self.checkpoint = image_key, label_key, checkpoint
        self.writer, self.table = writer, ImageTable(self.output_dir / TABLE)
        self.object_table = ImageTable(self.output_dir / OBJECT_TABLE, OBJECT_COLUMNS)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Write the files of one image and complete its record, ``data["record"]``.

        Raises:
            GridMismatchError: when probabilities or reference do not have the size of the file.
            ValueError: when they do not have the number of channels of the classes.
        """
        d = dict(data)
        for key in self.key_iterator(d):
            d[RECORD] = record = record_of_data(d, self.image_key)
            meta = d[self.image_key].meta
            size = _original_size(meta)
            found = self._checked(record.file, d[key], size, self.decision.channels)
            reference = d.get(self.label_key)
            if reference is not None:
                reference = self._checked(record.file, reference, size, 1)[0].astype(np.int16)
            orientation = int(meta.get("orientation", 1))
            run_or_submit(self.writer, record, partial(self._write, record, found, reference, orientation))
        return d

    def _checked(self, source: str, values: Any, size: tuple[int, int], channels: int) -> np.ndarray:
        array = torch.as_tensor(values).detach().cpu().float().numpy()
        if array.shape[0] != channels:
            raise ValueError(f"{source}: has {array.shape[0]} channels of results, {channels} are expected.")
        if array.shape[1:] != size:
            raise GridMismatchError(
                source, f"has the size {size}, its result {array.shape[1:]}", "add RestoreImageSized before SaveMaskd"
            )
        return array

    def _write(self, record: CaseRecord, found: np.ndarray, reference: np.ndarray | None, orientation: int) -> None:
        classes = self.decision.classes(found)
        self.output_dir.mkdir(parents=True, exist_ok=True)
        target = self.output_dir / f"{record.case}_{self.postfix}.png"
        save_gray_png(self.levels[classes], target, orientation)
        files = [target]
        if self.probability:
            for ending, values in probability_maps(found, self.decision).items():
                files.append(self.output_dir / f"{record.case}_probability{ending}.png")
                save_gray_png(values, files[-1], orientation)
        objects = separate_objects(classes > 0) if self.objects else None
        if objects is not None:
            files.append(self.output_dir / f"{record.case}_objects.png")
            save_gray_png(objects.astype(np.uint16), files[-1], orientation)
        if self.overlay:
            files.append(self.output_dir / f"{record.case}_overlay.jpg")
            drawn = Image.fromarray(overlay(read_image(record.file).pixels, classes, reference, objects=objects))
            with atomic_write(files[-1]) as file:
                drawn.save(file, "JPEG", quality=90, subsampling=0)
        labels = measure_mask(found, classes, self.decision)
        results = describe_mask(target, found, labels, self.decision)
        if objects is not None:
            results["objects"] = _describe_objects(objects)
        self._tabulate(
            {"case": record.case, "input": record.address or record.file, **results}, is_shared=record.claim is not None
        )
        record.complete(results, files=files, checkpoint=self.checkpoint)
        record.write(self.output_dir)

    def _tabulate(self, case: Mapping[str, Any], *, is_shared: bool) -> None:
        """Write the rows of a case; where processes share the folder, :class:`.ImageTables` does at the end."""
        if is_shared:
            return
        self.table.put(case["case"], structure_rows(case))
        if "objects" in case:
            self.object_table.put(case["case"], object_rows(case))


def _original_size(meta: Mapping[str, Any]) -> tuple[int, int]:
    height, width = (int(side) for side in meta["original_size"])
    return height, width


def _describe_objects(objects: np.ndarray) -> dict[str, Any]:
    """Return what the JSON says of the objects of an image."""
    measured = measure_objects(objects)
    areas = [row["area_px"] for row in measured]
    median = float(np.median(areas)) if areas else None
    return {"count": len(areas), "median_area_px": median, "measured": [dict(row) for row in measured]}
