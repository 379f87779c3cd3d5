"""Labeling of intervertebral discs, from the file of a volume to points, label map and the JSON of the case."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from bundle.inference.case_record import CaseRecord
from bundle.io.nifti_labels import nifti_labels
from bundle.tasks.spine.disc_files import DiscFiles
from bundle.tasks.spine.discs.skeleton import SkeletonPrior
from bundle.tasks.spine.skeleton_decoder import SkeletonDecoder
from bundle.tasks.spine.slab_places import slab_affine, slab_places, slab_weights, slice_weights
from bundle.tasks.spine.symmetry import cell_counts, plane_of_symmetry
from bundle.utils.atomic_write import atomic_write

from .image_statistics import volume_statistics
from .onnx_model import OnnxModel
from .volume_image import load_volume, resample


class DiscLabeling:
    """Find and number the intervertebral discs of sagittal volumes.

    Args:
        model: exported model.
    """

    def __init__(self, model: OnnxModel) -> None:
        self.model, self.about = model, model.about
        self.options: dict[str, Any] = self.about["preprocessing"]
        self.decoder = SkeletonDecoder(
            SkeletonPrior.of_content(self.about["skeleton"], model.path),
            first_level=self.about["levels"][0],
            stride=self.about["stride"],
            vertebrae=self.about["vertebrae"],
        )

    def __call__(self, record: CaseRecord, output_dir: Path) -> None:
        """Label the discs of the image of a record, write the files of the case, and complete the record.

        Raises:
            BadInputError: when the image cannot be used.
        """
        image = load_volume(
            record.file,
            channels=["image"],
            spacing_range=self.about["spacing_range_mm"],
            crop_border=self.options["crop_border"],
        )
        prepared = resample(image, self.about["spacing_mm"])
        statistics = volume_statistics(
            prepared.values, self.options["percentiles"], exclude_border=self.options["exclude_border"]
        )
        record.remarks += [*image.remarks, *statistics.remarks]
        standardized = statistics.standardize(prepared.values)[0]
        steps = np.linalg.norm(prepared.affine[:3, :3], axis=0)
        count, spacing, thickness = len(standardized), float(steps[0]), self.about["slab_mm"]
        cells = cell_means(standardized, cell_counts(standardized.shape[1:], steps.tolist()))
        middle = plane_of_symmetry(cells, spacing)
        places = slab_places(count, spacing, middle, self.about["slab_offsets_mm"])
        inputs = {
            "image": np.ascontiguousarray(prepared.values[None]),
            "weights": slab_weights(count, spacing, places, thickness).astype(np.float32),
            "statistics": statistics.row,
        }
        maps = self.model.run(["maps"], inputs)[0]
        centers = [slice_weights(count, spacing, place, thickness)[2] for place in places]
        positions = (np.array(centers) - middle) * spacing
        affine = slab_affine(prepared.affine, middle, thickness)
        discs, certainty = self.decoder.decode(maps, affine, positions)

        def save(voxels: np.ndarray, target: Path) -> None:
            reference: Any = nib.load(record.file)
            with atomic_write(target) as file:
                nib.save(nifti_labels(voxels, image.file_affine, reference), file)

        grid = image.file_shape, image.file_affine
        files, results = DiscFiles(output_dir, case=record.case).write(record, discs, certainty, grid, save)
        record.complete(results, files=files, checkpoint=self.model.path)


def cell_means(volume: np.ndarray, counts: tuple[int, int]) -> np.ndarray:
    """Return the means of the cells of every slice of a volume ``(R, A, S)``, ``(R, n)``, float64.

    Cells are those of PyTorch's ``adaptive_avg_pool2d``: neighbors share a row where the size is no multiple.
    """
    rows, columns = (_shares(size, count) for size, count in zip(volume.shape[1:], counts, strict=True))
    return np.asarray(rows @ volume.astype(np.float64) @ columns.T).reshape(len(volume), -1)


def _shares(size: int, count: int) -> np.ndarray:
    """Return the share of every pixel in every cell along an axis, ``(count, size)``."""
    shares = np.zeros((count, size))
    for number, row in enumerate(shares):
        start, stop = number * size // count, -(-(number + 1) * size // count)
        row[start:stop] = 1 / (stop - start)
    return shares
