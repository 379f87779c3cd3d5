"""Disc labeling: how often a wrong numbering is not marked as uncertain.

Draws views of the phantoms in ``DATASET``, from ``python -m bundle prepare spine-phantoms``: the complete image or a
part of it, with a random share of the discs erased from the heat maps. Spines with 4 or 6 lumbar vertebrae are as
frequent as in the dataset. A numbering is wrong if a disc found has not the level of the nearest reference within 20
mm. Prints the share of the views whose numbering is wrong and certain, and the share that is uncertain, with an end of
the spine (C2-C3 or above, or L5-S1) in view and without; an erased end is not in view:

    python benchmarks/numbering.py DATASET --views 1000
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.bundle import ConfigParser

from bundle import ROOT
from bundle.data.datalist import load_datalist
from bundle.tasks.spine.disc_decode import NUMBERING
from bundle.tasks.spine.disc_metrics import compare_discs
from bundle.tasks.spine.discs.level_certainty import HIGHEST_END, LOWEST_END
from bundle.tasks.spine.load_disc_points import LoadDiscPointsd
from bundle.tasks.spine.slab_geometry import is_in_image, world_to_voxels

ERASED_MM = 9.0
"""Radius in mm, as a standard deviation, in which a disc is erased from the heat maps."""


def draw_window(rng: np.random.Generator, size: int, spacing: float) -> tuple[int, int]:
    """Draw the first and the last pixel (exclusive) of a part of an image along S; half of the images are complete."""
    length = round(rng.uniform(60, 300) / spacing)
    if rng.uniform() < 0.5 or length >= size:
        return 0, size
    start = int(rng.integers(0, size - length + 1))
    return start, start + length


def erase(rng: np.random.Generator, maps: torch.Tensor, pixels: np.ndarray, stride: int, spacing: float) -> np.ndarray:
    """Erase up to 15 % of the discs at pixels ``(n, 2)`` from maps ``(N, C, a, s)``; return which are left."""
    left = rng.uniform(size=len(pixels)) >= rng.uniform(0, 0.15)
    rows, columns = torch.meshgrid(*(torch.arange(n) for n in maps.shape[2:]), indexing="ij")
    for row, column in (pixels[~left] + 0.5) / stride - 0.5:
        square = ((rows - row) ** 2 + (columns - column) ** 2) * (stride * spacing) ** 2
        maps *= 1 - torch.exp(-square / (2 * ERASED_MM**2))
    return left


def views(
    cases: list[dict[str, Any]], count: int, parser: ConfigParser
) -> Iterator[tuple[dict[str, Any], np.ndarray, np.ndarray]]:
    """Yield the decoded data, the reference points in view, and which are not erased, of ``count`` views."""
    network, prepare, inferer, decode = (
        parser.get_parsed_content(name)
        for name in ("network", "preprocessing", "inferer", "postprocessing#transforms#0")
    )
    load = LoadDiscPointsd("label")
    network.eval()
    for number, case in enumerate(cases):
        points, slabs = load({"label": case["label"]})["points"], prepare({"image": case["image"]})["image"]
        spacing = float(np.linalg.norm(np.asarray(slabs.affine)[:3, 2]))
        for view in range(number, count, len(cases)):
            rng = np.random.default_rng(view)
            start, end = draw_window(rng, slabs.shape[3], spacing)
            part = slabs[..., start:end].clone()
            part.affine = slabs.affine.clone()
            part.affine[:3, 3] += start * slabs.affine[:3, 2]
            with torch.no_grad():
                maps = inferer(part[None], network)[0]
            pixels = world_to_voxels(points[:, 1:], np.asarray(part.affine))[:, 1:]
            seen = is_in_image(pixels, part.shape[2:])
            left = erase(rng, maps, pixels[seen], decode.stride, spacing)
            yield decode({"image": part, "pred": maps}), points[seen], left


def main() -> None:
    """Measure and print the shares."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset_dir", type=Path, help="folder of phantoms")
    parser.add_argument("--views", type=int, default=1000, help="number of views (default: 1000)")
    args = parser.parse_args()
    torch.set_num_threads(1)
    config = ConfigParser()
    config.read_config(str(Path(ROOT, "configs", "disc_labeling", "inference.json")))
    config["bundle_root"], config["device"] = str(ROOT), "cpu"
    cases = load_datalist(args.dataset_dir)["training"]
    counts: Counter[tuple[str, str, str]] = Counter()
    for data, points, left in views(cases, args.views, config):
        if data[NUMBERING] is None or not left.any():
            counts["no disc", "", ""] += 1
            continue
        has_end = points[left][0, 0] <= HIGHEST_END or points[left][-1, 0] == LOWEST_END
        right = compare_discs(data["discs"], points).metrics["level_right"] == 1
        end = "an end in view" if has_end else "no end in view"
        counts[end, "right" if right else "wrong", data[NUMBERING].status] += 1
    for key, number in sorted(counts.items()):
        print(f"{', '.join(filter(None, key)):<40} {number:>5}")
    print(f"{'wrong and certain':<40} {share(counts, '', 'wrong', 'certain'):>6.1%}")
    for end in ("an end in view", "no end in view"):
        print(f"{'uncertain, ' + end:<40} {share(counts, end, '', 'uncertain'):>6.1%}")


def share(counts: Counter[tuple[str, str, str]], end: str, right: str, status: str) -> float:
    """Return the share of the views with these properties; among those with the end, if one is given."""
    total = sum(number for key, number in counts.items() if end in ("", key[0]))
    wanted = (end, right, status)
    return sum(n for key, n in counts.items() if all(w in ("", k) for w, k in zip(wanted, key, strict=True))) / total


if __name__ == "__main__":
    main()
