"""Segmentation and classification of color images, from the file to the results and the JSON of the case."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bundle.grid.constant_border import content_box, cropped_remark
from bundle.inference.case_record import CaseRecord
from bundle.inference.judge_image import judge_image
from bundle.inference.plausibility import IMAGE, Plausibility
from bundle.io.images import color_values, read_image
from bundle.tasks.classification.describe_classes import describe_classes
from bundle.tasks.images.mask_decision import MaskDecision
from bundle.tasks.images.mask_results import describe_mask, measure_mask, probability_maps, save_gray_png
from bundle.utils.label_names import structures_of

from .image_statistics import color_statistics
from .onnx_model import OnnxModel


class ColorTask:
    """What the tasks of color images share: reading an image and running the model.

    Args:
        model: exported model.
        plausibility: knows the training images.
    """

    def __init__(self, model: OnnxModel, plausibility: Plausibility) -> None:
        self.model, self.options, self.plausibility = model, model.about["preprocessing"], plausibility

    def load(self, record: CaseRecord) -> tuple[np.ndarray, tuple[slice, ...], int]:
        """Return the values of the image of a record ``(3, H, W)``, the box of its content, and its EXIF orientation.

        Raises:
            BadInputError: when the image cannot be used.
        """
        image = read_image(record.file)
        values = color_values(image.pixels)
        is_cropped = self.options["crop_border"]
        box = content_box(values) if is_cropped else tuple(slice(0, size) for size in values.shape[1:])
        record.remarks += [*image.remarks, *cropped_remark(box, values.shape[1:])]
        return values, box, image.orientation

    def probabilities(self, inputs: dict[str, np.ndarray], record: CaseRecord) -> np.ndarray:
        """Return the probabilities of one image; flag an image unlike the training images in its record.

        Raises:
            ValueError: when probabilities are not finite.
        """
        outputs = ["probabilities", *(["image_features"] if self.plausibility.is_known(IMAGE) else [])]
        probabilities, *features = (found[0] for found in self.model.run(outputs, inputs))
        if not np.isfinite(probabilities).all():
            raise ValueError("probabilities of the network are not finite; check its weights.")
        for means in features:
            record.findings = judge_image(means.tolist(), self.plausibility, file=record.file)
        return probabilities


class MaskSegmentation(ColorTask):
    """Segment color images, see :class:`ColorTask` for the options."""

    def __init__(self, model: OnnxModel, plausibility: Plausibility) -> None:
        super().__init__(model, plausibility)
        names = structures_of(model.about["label_names"])
        self.decision = MaskDecision(
            names,
            threshold=model.about["threshold"],
            region_confidence=self.options.get("region_confidence", 0.0),
            single_region=bool(self.options["single_region"]),
        )
        self.levels = np.array([0, *model.about["levels"]], dtype=np.uint8)

    def __call__(self, record: CaseRecord, output_dir: Path) -> None:
        """Segment the image of a record, write the files of the case, and complete the record.

        Raises:
            BadInputError: when the image cannot be used.
        """
        values, box, orientation = self.load(record)
        inside = values[(slice(None), *box)]
        statistics = color_statistics(inside, self.options["tolerance"])
        record.remarks += statistics.remarks
        inputs = {"image": np.ascontiguousarray(inside[None]), "statistics": statistics.row}
        probabilities = self.probabilities(inputs, record)
        found = np.zeros((len(probabilities), *values.shape[1:]), np.float32)
        if len(found) > 1:
            found[0] = 1
        found[(slice(None), *box)] = probabilities
        classes = self.decision.classes(found)
        files = [output_dir / f"{record.case}_seg.png"]
        save_gray_png(self.levels[classes], files[0], orientation)
        for ending, pixels in probability_maps(found, self.decision).items():
            files.append(output_dir / f"{record.case}_probability{ending}.png")
            save_gray_png(pixels, files[-1], orientation)
        results = describe_mask(files[0], found, measure_mask(found, classes, self.decision), self.decision)
        record.complete(results, files=files, checkpoint=self.model.path)


class Classification(ColorTask):
    """Classify color images, see :class:`ColorTask` for the options."""

    def __call__(self, record: CaseRecord, output_dir: Path) -> None:
        """Classify the image of a record, and complete the record.

        Raises:
            BadInputError: when the image cannot be used.
        """
        values, box, _ = self.load(record)
        inside = np.ascontiguousarray(values[(None, slice(None), *box)])
        probabilities = self.probabilities({"image": inside}, record)
        classes = describe_classes(probabilities.tolist(), self.model.about["thresholds"])
        results: dict[str, Any] = {"shape": list(values.shape[1:]), "classes": classes}
        record.complete(results, files=[], checkpoint=self.model.path)
