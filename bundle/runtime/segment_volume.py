"""Segmentation of a volume, from its file to the label map on its grid and the JSON of the case."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from bundle.inference.case_findings import CaseFindings, flat_names
from bundle.inference.case_record import CaseRecord
from bundle.inference.describe_segmentation import describe_segmentation
from bundle.inference.plausibility import CROP, REGION, Plausibility
from bundle.inference.result_errors import implausible_crop, not_a_crop
from bundle.io.label_table import write_label_table
from bundle.io.length_units import nifti_affine
from bundle.io.nifti_labels import nifti_labels
from bundle.utils.atomic_write import atomic_write
from bundle.utils.label_names import structures_of

from .image_statistics import volume_statistics
from .label_assembly import LabelAssembly, ResultNumbers
from .onnx_model import OnnxModel
from .volume_image import VolumeImage, load_volume, resample
from .window_scores import blend_windows, run_axis


class VolumeSegmentation:
    """Segment volumes.

    Args:
        model: exported model.
        plausibility: judges the results.
    """

    def __init__(self, model: OnnxModel, plausibility: Plausibility) -> None:
        self.model, self.about, self.plausibility = model, model.about, plausibility
        self.label_names = structures_of(self.about["label_names"])
        self.options: dict[str, Any] = self.about["preprocessing"]

    def __call__(self, record: CaseRecord, output_dir: Path) -> None:
        """Segment the image of a record, write the files of the case, and complete the record.

        Raises:
            BadInputError: when the image cannot be used, or the result is not plausible.
        """
        image = load_volume(
            record.file,
            channels=self.about["channels"],
            spacing_range=self.about["spacing_range_mm"],
            crop_border=self.options["crop_border"],
        )
        record.remarks += image.remarks
        labels = self._segment(record, image)
        write_segmentation(record, labels, output_dir, self.model.path)

    def _segment(self, record: CaseRecord, image: VolumeImage) -> np.ndarray:
        largest = self.options["largest_crop_mm"]
        if self.plausibility.is_known(REGION) and any(np.array(image.extent_mm) > largest):
            raise not_a_crop(record.file, image.extent_mm, largest, remedy="cut the image around the region")
        findings = record.findings = CaseFindings({"": self.label_names})
        labels, numbers, affine = self._infer(record, image)
        findings.numbers = numbers.structures()
        if self.plausibility.distributions:
            problem, entry = self.plausibility.judge_entry(CROP, numbers.features(affine))
            findings.results["plausibility"] = entry
            if problem:
                findings.results |= {"shape": list(image.file_shape), "spacing_mm": _spacing(image).tolist()}
                raise implausible_crop(record.file, problem)
        return labels

    def _infer(self, record: CaseRecord, image: VolumeImage) -> tuple[np.ndarray, ResultNumbers, np.ndarray]:
        """Return the label map of an image on the grid of its file, numbers on it, and the affine of the network."""
        fine = resample(image, self.about["spacing_mm"])
        statistics = volume_statistics(
            fine.values, self.options["percentiles"], exclude_border=self.options["exclude_border"]
        )
        record.remarks += [remark for remark in statistics.remarks if remark not in record.remarks]

        def network(part: np.ndarray) -> np.ndarray:
            inputs = {"image": np.ascontiguousarray(part[None]), "statistics": statistics.row}
            return self.model.run(["scores"], inputs)[0][0]

        window = self.about["window"]
        axis = run_axis(fine.values.shape[1:], window)
        assembly = LabelAssembly(fine, axis=axis)
        numbers = ResultNumbers(self.label_names, classes=max(self.about["label_names"].values()) + 1, axis=axis)
        for scores in blend_windows(fine.values, network, window=window, overlap=self.about["overlap"]):
            assembly.add(scores)
            numbers.add(scores)
        return assembly.labels, numbers, fine.affine


def write_segmentation(record: CaseRecord, labels: np.ndarray, output_dir: Path, checkpoint: Path) -> None:
    """Write label map and table of a case, and complete its record.

    Args:
        record: record of the case.
        labels: label map on the grid of its file.
        output_dir: folder to write to.
        checkpoint: file of the model, for the JSON.
    """
    groups = {} if record.findings is None else record.findings.label_names
    reference: Any = nib.load(record.file)
    names = flat_names(groups)
    target, table = output_dir / f"{record.case}_seg.nii.gz", output_dir / f"{record.case}_dseg.tsv"
    with atomic_write(target) as file:
        nib.save(nifti_labels(labels, reference.affine, reference), file)
    write_label_table(table, names)
    numbers = {} if record.findings is None else record.findings.numbers
    spacing = nib.affines.voxel_sizes(nifti_affine(reference))
    results = describe_segmentation(labels, spacing, groups, output=target, numbers=numbers)
    record.complete(results, files=[target, table], checkpoint=checkpoint)


def _spacing(image: VolumeImage) -> np.ndarray:
    """Return the voxel size of the file in mm, rounded."""
    return np.linalg.norm(image.file_affine[:3, :3], axis=0).round(6)
