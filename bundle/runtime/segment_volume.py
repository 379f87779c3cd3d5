"""Segmentation of a volume, from its file to the label map on its grid and the JSON of the case."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import nibabel as nib
import numpy as np

from bundle.inference.case_findings import CaseFindings, flat_names
from bundle.inference.case_record import CaseRecord
from bundle.inference.describe_segmentation import describe_segmentation
from bundle.inference.found_regions import (
    box_around,
    not_labeled,
    nothing_found,
    nothing_plausible,
    raised_labels,
    remarks_on,
)
from bundle.inference.plausibility import CROP, NOTHING_LABELED, REGION, Plausibility
from bundle.inference.result_errors import implausible_crop, not_a_crop
from bundle.io.label_table import write_label_table
from bundle.io.length_units import nifti_affine
from bundle.io.nifti_labels import nifti_labels
from bundle.utils.atomic_write import atomic_write
from bundle.utils.label_names import structures_of
from bundle.utils.lengths import is_above

from .find_regions import CoarseFinder
from .image_statistics import volume_statistics
from .label_assembly import LabelAssembly, ResultNumbers
from .onnx_model import OnnxModel
from .volume_image import VolumeImage, load_volume, resample
from .window_scores import blend_windows, run_axis


class Result(NamedTuple):
    """Result of a network.

    Attributes:
        labels: label map on the grid of the file.
        numbers: confidence and features.
        affine: affine of the grid of the network.
        remarks: remarks on the intensities.
    """

    labels: np.ndarray
    numbers: ResultNumbers
    affine: np.ndarray
    remarks: list[str]


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
        labels = (
            self._segment_regions(record, image) if self._is_searched(record, image) else self._segment(record, image)
        )
        write_segmentation(record, labels, output_dir, self.model.path)

    def _is_searched(self, record: CaseRecord, image: VolumeImage) -> bool:
        """Return whether regions are to be found in an image.

        Raises:
            NotACropError: if they are, and the model has no finder.
        """
        largest = self.options["largest_crop_mm"]
        is_large = self.plausibility.is_known(REGION) and bool(
            np.any(is_above(np.array(image.extent_mm), np.array(largest)))
        )
        if is_large and not self.about.get("finder"):
            raise not_a_crop(record.file, image.extent_mm, largest, remedy="cut the image around the region")
        return is_large

    def _segment(self, record: CaseRecord, image: VolumeImage) -> np.ndarray:
        findings = record.findings = CaseFindings({"": self.label_names})
        result = self._infer(image)
        record.remarks += result.remarks
        findings.numbers = result.numbers.structures()
        problem, entry = self._judge(CROP, result)
        findings.results |= {"plausibility": entry} if entry else {}
        if problem:
            findings.results |= _geometry(image)
            raise implausible_crop(record.file, problem)
        return result.labels

    def _segment_regions(self, record: CaseRecord, image: VolumeImage) -> np.ndarray:
        """Segment every region that is found, as :class:`bundle.inference.RegionInferer` does."""
        finder = CoarseFinder(self.model)
        regions = finder(image)
        entries = {region.name: region.to_json() for region in regions}
        findings = record.findings = CaseFindings({}, {"regions": list(entries.values())}, remarks_on(regions))
        found = [region for region in regions if region.found]
        if not found:
            findings.results |= _geometry(image)
            raise nothing_found(record.file, list(entries))
        labels = np.zeros(image.file_shape, np.uint8, order="F")
        problems = []
        for region in found:
            result = self._segment_region(image, region.center_mm or (), finder.size_mm)
            problem, entry = self._judge(REGION, result)
            if problem is None and not result.labels.any():
                problem, entry = NOTHING_LABELED, {**entry, "plausible": False}
            entries[region.name] |= entry
            if problem is not None:
                problems.append(not_labeled(region, problem))
                continue
            offset = finder.offsets[region.name]
            findings.label_names[region.name] = {name: value + offset for name, value in self.label_names.items()}
            numbers = result.numbers.structures()
            findings.numbers |= {f"{region.name}_{name}": values for name, values in numbers.items()}
            box, raised = raised_labels(result.labels, offset)
            part = labels[box]
            part[part == 0] = raised[part == 0]
        if not findings.label_names:
            findings.results |= _geometry(image)
            raise nothing_plausible(record.file, problems)
        findings.remarks += problems
        return labels

    def _segment_region(self, image: VolumeImage, center_mm: Sequence[float], size_mm: Sequence[float]) -> Result:
        """Segment the box around a point; once more around its labels if these reach the border of the box."""

        def infer(center: Sequence[float]) -> Result:
            return self._infer(image.part(box_around(image.affine, image.values.shape[1:], center, size_mm)))

        result = infer(center_mm)
        center = result.numbers.cut_center(result.affine)
        return result if center is None else infer(center)

    def _judge(self, kind: str, result: Result) -> tuple[str | None, dict[str, Any]]:
        """Return why a result is not plausible, None if it is or is not judged, and the entry of the JSON."""
        if not self.plausibility.distributions:
            return None, {}
        return self.plausibility.judge_entry(kind, result.numbers.features(result.affine))

    def _infer(self, image: VolumeImage) -> Result:
        fine = resample(image, self.about["spacing_mm"])
        statistics = volume_statistics(
            fine.values, self.options["percentiles"], exclude_border=self.options["exclude_border"]
        )

        def network(part: np.ndarray) -> np.ndarray:
            inputs = {"image": np.ascontiguousarray(part[None]), "statistics": statistics.row}
            return self.model.run(["scores"], inputs)[0][0]

        window = self.about["window"]
        axis = run_axis(fine.values.shape[1:], window)
        assembly = LabelAssembly(fine, axis=axis)
        slabs = blend_windows(fine.values, network, window=window, overlap=self.about["overlap"])
        first = next(slabs)
        numbers = ResultNumbers(self.label_names, classes=len(first), axis=axis)
        for scores in chain([first], slabs):
            assembly.add(scores)
            numbers.add(scores)
        return Result(assembly.labels, numbers, fine.affine, statistics.remarks)


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


def _geometry(image: VolumeImage) -> dict[str, Any]:
    """Return size and voxel size of the file of an image, for the JSON of a refused case."""
    spacing = np.linalg.norm(image.file_affine[:3, :3], axis=0)
    return {"shape": list(image.file_shape), "spacing_mm": [round(float(size), 6) for size in spacing]}
