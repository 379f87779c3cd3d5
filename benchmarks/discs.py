"""Disc labeling: the skeleton search, the heat maps and their decoding, compared with what they replace.

Prints (a) the original's loop over all combinations against the exact search for the same cost, and the search for any
two anchors; (b) heat maps by MONAI's ``GenerateHeatmap``, by a double loop in Python, and in closed form; (c) the error
of decoding a point from a perfect heat map. One thread, CPU time of the process, the candidates of a comparison in
alternating order, the minimum of several repeats:

    python benchmarks/discs.py --repeats 7
"""

from __future__ import annotations

import argparse
import itertools
import math
import time
from collections.abc import Callable

import numpy as np
import torch
from monai.transforms import GenerateHeatmap
from scipy import ndimage
from torch.nn import functional

from bundle.tasks.spine.discs.heatmaps import make_heatmaps
from bundle.tasks.spine.discs.peak_candidates import Candidates, find_candidates
from bundle.tasks.spine.discs.skeleton import SkeletonPrior
from bundle.tasks.spine.discs.skeleton_search import anchored_search, search_skeleton

LEAST = 0.02
"""A call is repeated for this many seconds: the clock is too coarse for a single one."""

NATIVE = 320
GRID = 256
HEAD = 64
SIGMA = 4.0
"""Standard deviation on the grid of 256: one cell of a head of 64, 5 pixels of an image of 320."""


def seconds(call: Callable[[], object]) -> float:
    """Return the CPU seconds of one call."""
    count, start = 0, time.process_time()
    while (spent := time.process_time() - start) < LEAST:
        call()
        count += 1
    return spent / count


def least(calls: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Return the minimum CPU seconds of every call, in alternating order, after an uncounted round."""
    times = dict.fromkeys(calls, math.inf)
    for repeat in range(repeats + 1):
        for name in list(calls) if repeat % 2 else reversed(calls):
            spent = seconds(calls[name])
            if repeat:
                times[name] = min(times[name], spent)
    return times


def spine(levels: int) -> SkeletonPrior:
    """Return a curved skeleton."""
    steps = np.arange(levels)
    means = np.stack([20 * np.sin(steps / 4), -20.0 * steps - 0.4 * steps**2], 1)
    gaps = np.full(levels - 1, 1.5)
    return SkeletonPrior(tuple(range(2, 2 + levels)), means, np.full((levels, 2), 6.0), (1,) * levels, gap_spread=gaps)


def planted(prior: SkeletonPrior, count: int) -> list[Candidates]:
    """Return ``count`` candidates per channel: one near its disc, then near the neighbors', then anywhere."""
    rng = np.random.default_rng(count)
    found = []
    for channel, place in enumerate(prior.means):
        rows = [place + rng.normal(0, 3, 2)]
        for number in range(1, count):
            near = prior.means[np.clip(channel + (1, -1)[number % 2], 0, len(prior.means) - 1)]
            rows.append(near + rng.normal(0, 3, 2) if number < 3 else rng.uniform(-1, 1, 2) * [40, 200])
        found.append(Candidates(np.array(rows), np.sort(rng.uniform(0.2, 1, count))[::-1]))
    return found


def product_loop(places: list[np.ndarray], means: np.ndarray) -> tuple[tuple[int, ...], float]:
    """The original's search: every combination, in units of the distance from joint 0 to joint 4, Frobenius norm."""
    best: tuple[tuple[int, ...], float] = ((), math.inf)
    for choice in itertools.product(*[range(len(p)) for p in places]):
        points = np.array([p[i] for p, i in zip(places, choice, strict=True)])
        shape = (points - points[0]) / np.linalg.norm(points[0] - points[4])
        cost = float(np.linalg.norm(means - shape))
        best = (choice, cost) if cost < best[1] else best
    return best


def print_search(repeats: int) -> None:
    """Print the times of the searches."""
    prior = spine(11)
    unit = np.linalg.norm(prior.means[4] - prior.means[0])
    means = (prior.means - prior.means[0]) / unit
    print("skeleton search, 11 channels; any two = any two anchors, missing discs, order")
    print(f"{'k':>2} {'combinations':>13} {'product ms':>12} {'exact ms':>9} {'ratio':>9} {'any two ms':>11}")
    each = math.nan
    for count in (1, 2, 3, 4):
        found = planted(prior, count)
        places = [c.positions for c in found]
        calls: dict[str, Callable[[], object]] = {
            "exact": lambda p=places: anchored_search(p, means),  # type: ignore[misc]
            "any two": lambda f=found: search_skeleton(f, prior.levels, prior),  # type: ignore[misc]
        }
        if count < 3:
            calls["product"] = lambda p=places: product_loop(p, means)  # type: ignore[misc]
            if product_loop(places, means)[0] != anchored_search(places, means)[0]:
                raise RuntimeError(f"the searches disagree at k={count}.")
        times = least(calls, repeats)
        each = times.get("product", each * count**11) / count**11
        product = each * count**11
        mark = "" if count < 3 else "*"
        print(
            f"{count:>2} {count**11:>13,} {f'{1e3 * product:,.2f}{mark}':>12} {1e3 * times['exact']:>9.3f} "
            f"{product / times['exact']:>9,.1f} {1e3 * times['any two']:>11.3f}"
        )
    print("* not run: the time of a combination at k = 2, times the combinations")
    prior = spine(24)
    found = planted(prior, 4)
    times = least({"any two": lambda: search_skeleton(found, prior.levels, prior)}, repeats)
    print(f"24 channels, k = 4, any two anchors: {1e3 * times['any two']:.2f} ms")


def double_loop(points: np.ndarray, size: int) -> np.ndarray:
    """One Gaussian per point, pixel by pixel, and their maximum."""
    image = np.zeros((size, size), dtype=np.float32)
    for row in range(size):
        for column in range(size):
            squares = (points[:, 0] - row) ** 2 + (points[:, 1] - column) ** 2
            image[row, column] = np.exp(-squares.min() / (2 * SIGMA**2))
    return image


def print_heatmaps(repeats: int) -> None:
    """Print the times of making heat maps."""
    points = np.random.default_rng(0).uniform(20, NATIVE - 20, (11, 2)).astype(np.float32)
    generate = GenerateHeatmap(sigma=SIGMA, spatial_shape=(NATIVE, NATIVE))
    times = least(
        {
            "double loop, one map": lambda: double_loop(points, NATIVE),
            "MONAI GenerateHeatmap": lambda: generate(points),
            "closed form": lambda: make_heatmaps(points, (NATIVE, NATIVE), sigma=SIGMA),
        },
        repeats,
    )
    print(f"\nheat maps of 11 points, {NATIVE} x {NATIVE}\n{'':<24} {'ms':>9} {'/ closed form':>14}")
    for name, spent in times.items():
        print(f"{name:<24} {1e3 * spent:>9.2f} {spent / times['closed form']:>14.1f}")


def original_decode(image: np.ndarray) -> np.ndarray:
    """Half of the maximum, largest component, nearest resize to the native size, centroid."""
    parts, count = ndimage.label(image >= 0.5 * image.max())
    sizes = ndimage.sum_labels(np.ones_like(parts), parts, range(1, count + 1))
    mask = parts == 1 + int(np.argmax(sizes))
    source = np.arange(NATIVE) * GRID // NATIVE
    return np.argwhere(mask[np.ix_(source, source)]).mean(0)


def to_native(places: np.ndarray, size: int) -> np.ndarray:
    """Map pixel coordinates of a grid of ``size`` to those of the native image."""
    return (places + 0.5) * NATIVE / size - 0.5


def print_decoding(count: int) -> None:
    """Print the errors of decoding points from perfect maps."""
    points = np.random.default_rng(1).uniform(30, GRID - 30, (count, 2))
    truth = to_native(points, GRID)
    print(f"\nerror of decoding a perfect map in pixels of {NATIVE}, mean of {count} points: first axis / distance")
    print(f"{'':<24} {f'map of {GRID}':>15} {f'head of {HEAD}':>15}")
    rows: dict[str, list[str]] = {"original": [], "arg-max": [], "weighted centroid": []}
    for size in (GRID, HEAD):
        stride = GRID // size
        maps = make_heatmaps(points, (size, size), sigma=SIGMA, stride=stride)
        full = (
            functional.interpolate(maps[None], (GRID, GRID), mode="bilinear")[0].numpy() if stride > 1 else maps.numpy()
        )
        highest = np.array([np.unravel_index(image.argmax(), image.shape) for image in full])
        ours = np.concatenate([c.positions for c in find_candidates(maps, count=1, stride=stride)])
        found = {
            "original": np.array([original_decode(image) for image in full]),
            "arg-max": to_native(highest, GRID),
            "weighted centroid": to_native(ours, GRID),
        }
        for name, places in found.items():
            rest = places - truth
            rows[name].append(f"{np.abs(rest[:, 0]).mean():.3f} / {np.linalg.norm(rest, axis=1).mean():.3f}")
    for name, cells in rows.items():
        print(f"{name:<24} {cells[0]:>15} {cells[1]:>15}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--points", type=int, default=200, help="points of the decoding")
    args = parser.parse_args()
    torch.set_num_threads(1)
    print_search(args.repeats)
    print_heatmaps(args.repeats)
    print_decoding(args.points)


if __name__ == "__main__":
    main()
