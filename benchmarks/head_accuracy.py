"""Are both hippocampi found in heads that lie, are sampled and are cut in other ways, and how well are they segmented?

    python benchmarks/head_accuracy.py HEADS --cases sub-07 sub-16

``HEADS`` holds ``images`` and ``labels`` with the same names, 1 for the left and 2 for the right hippocampus, and masks
of the brain as ``labels/<name>_brain.nii.gz``. Every head is written in all variants to a temporary folder, which
``configs/inference.json`` segments in one run. Printed are, by variant, the sides that are labeled and the Dice
coefficient of the union of both parts with the label; for unchanged heads also the correlation of the volumes.

The head itself is rotated by 20 degrees to both sides about every axis (its file then says nothing about it); axes are
permuted and flipped with the affine; 0.7 mm, 2 mm and 1 x 1 x 5 mm are resampled; ``stripped`` is the brain alone;
``cut`` lacks the lower 30 % of the slices.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from monai.data import MetaTensor
from scipy import ndimage

from bundle import ROOT
from bundle.grid import ResampleSpacingd

Pair = tuple[nib.Nifti1Image, nib.Nifti1Image]

SIDES = {"left": (1, (11, 12)), "right": (2, (21, 22))}
"""Value in the reference and values in the result."""

SPACINGS = {"0.7 mm": [0.7] * 3, "2 mm": [2.0] * 3, "1 x 1 x 5 mm": [1.0, 1.0, 5.0], "1 x 5 x 1 mm": [1.0, 5.0, 1.0]}


def variants(image: nib.Nifti1Image, label: nib.Nifti1Image, brain: nib.Nifti1Image) -> Iterator[tuple[str, Pair]]:
    """Yield a head and its label in all variants by their names; all are in the orientation RAS first."""
    image, label, brain = (nib.as_closest_canonical(item) for item in (image, label, brain))
    yield "unchanged", (image, label)
    for axes in ((0, 1), (0, 2), (1, 2)):
        for angle in (-20, 20):
            yield "rotated by 20 degrees", (_rotated(image, axes, angle, 1), _rotated(label, axes, angle, 0))
    yield "permuted axes", (_stored(image, "PSR"), _stored(label, "PSR"))
    yield "flipped axes", (_stored(image, "LIP"), _stored(label, "LIP"))
    for name, spacing in SPACINGS.items():
        yield name, _resampled(image, label, spacing)
    masked = np.where(np.asarray(brain.dataobj) > 0, image.get_fdata(dtype=np.float32), 0)
    yield "stripped", (nib.Nifti1Image(masked, image.affine), label)
    start = int(0.3 * image.shape[2])
    yield "cut", (image.slicer[:, :, start:], label.slicer[:, :, start:])


def _rotated(image: nib.Nifti1Image, axes: tuple[int, int], angle: float, order: int) -> nib.Nifti1Image:
    values = ndimage.rotate(image.get_fdata(dtype=np.float32), angle, axes=axes, reshape=False, order=order)
    return nib.Nifti1Image(values, image.affine)


def _stored(image: nib.Nifti1Image, codes: str) -> nib.Nifti1Image:
    change = nib.orientations.ornt_transform(
        nib.io_orientation(image.affine), nib.orientations.axcodes2ornt(tuple(codes))
    )
    return image.as_reoriented(change)


def _resampled(image: nib.Nifti1Image, label: nib.Nifti1Image, spacing: list[float]) -> Pair:
    data: dict[Hashable, Any] = {
        name: MetaTensor(np.ascontiguousarray(item.get_fdata(dtype=np.float32))[None], affine=item.affine)
        for name, item in (("image", image), ("label", label))
    }
    resample = ResampleSpacingd(["image", "label"], spacing, mode=["linear", "nearest"], antialias=True)
    done: dict[Any, MetaTensor] = resample(data)
    one, other = (nib.Nifti1Image(done[name][0].numpy(), np.asarray(done[name].affine)) for name in data)
    return one, other


def dice(found: np.ndarray, reference: np.ndarray) -> float:
    """Return the Dice coefficient of two masks."""
    return 2 * float((found & reference).sum()) / float(found.sum() + reference.sum())


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("heads", type=Path)
    parser.add_argument("--cases", nargs="+", help="beginnings of the names of images (default: all)")
    parser.add_argument("--variants", nargs="+", help="names of variants (default: all)")
    args = parser.parse_args()
    names = defaultdict(list)
    references = {}
    with tempfile.TemporaryDirectory() as folder:
        images, output = Path(folder, "images"), Path(folder, "output")
        images.mkdir()
        for path in sorted((args.heads / "images").glob("*.nii.gz")):
            if args.cases and not path.name.startswith(tuple(args.cases)):
                continue
            labels = args.heads / "labels"
            files = (path, labels / path.name, labels / path.name.replace(".nii.gz", "_brain.nii.gz"))
            for number, (name, (image, label)) in enumerate(variants(*map(nib.Nifti1Image.from_filename, files))):
                if args.variants and name not in args.variants:
                    continue
                case = f"{path.name.removesuffix('.nii.gz')}_{number:02d}"
                nib.save(image, images / f"{case}.nii.gz")
                names[name].append(case)
                references[case] = label
        command = [sys.executable, "-W", "ignore", "-m", "monai.bundle", "run"]
        command += ["--config_file", str(Path(ROOT, "configs", "inference.json")), "--overlay", "false"]
        status = subprocess.run(
            [*command, "--input", str(images), "--output_dir", str(output)], cwd=ROOT, capture_output=True
        )
        if status.returncode not in (0, 2):
            raise SystemExit(status.stderr.decode()[-3000:])
        report(names, references, output)


def report(names: dict[str, list[str]], references: dict[str, nib.Nifti1Image], output: Path) -> None:
    """Print the table."""
    print(f"{'variant':24}{'labeled':>10}{'mean Dice':>11}{'least':>8}")
    for name, cases in names.items():
        scores, volumes = [], []
        for case in cases:
            file = output / f"{case}_seg.nii.gz"
            found = np.asarray(nib.Nifti1Image.from_filename(file).dataobj) if file.is_file() else None
            reference = np.asarray(references[case].dataobj)
            voxel = abs(np.linalg.det(references[case].affine[:3, :3]))
            for value, values in SIDES.values():
                mask = np.isin(found, values) if found is not None else None
                if mask is not None and mask.any():
                    scores.append(dice(mask, reference == value))
                    volumes.append((mask.sum() * voxel, (reference == value).sum() * voxel))
        labeled = f"{len(scores)}/{2 * len(cases)}"
        print(f"{name:24}{labeled:>10}{np.mean(scores):>11.3f}{np.min(scores):>8.3f}")
        if name == "unchanged":
            print(f"  correlation of the volumes {np.corrcoef(np.transpose(volumes))[0, 1]:.3f}")
    failures = json.loads((output / "summary.json").read_text(encoding="utf-8"))["failures"]
    for failure in failures:
        print(f"refused: {failure['case']}: {failure['message']}")


if __name__ == "__main__":
    main()
