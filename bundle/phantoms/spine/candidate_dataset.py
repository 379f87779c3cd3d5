"""A dataset of random candidate points with their levels, and sources of the spines they are drawn from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from bundle.data.datalist import Split, select_cases
from bundle.losses.candidate_loss import ABSENT
from bundle.tasks.spine.discs.skeleton import SkeletonPrior
from bundle.tasks.spine.load_disc_points import LoadDiscPointsd

from .candidate_simulation import CandidateOptions, CandidateSet, draw_candidates
from .spine_geometry import draw_lumbar_vertebrae, draw_spine

Spine = np.ndarray
"""Points ``(n, 4)`` of value, R, A, S in mm."""

SPINE_SEED = 5
"""Third part of the seeds of spines, so that they differ from those of phantoms."""


class CandidateDataset(Dataset):
    """Random sets of candidates (:mod:`bundle.phantoms.spine.candidate_simulation`).

    An item depends only on the seed and its index. It has the keys ``"case"``, a name; ``"image"``, A and S of the
    candidates in mm ``(size, 2)``; ``"label"``, their classes ``(size,)``: the index of the level, the number of levels
    for "none", and -1 for padding; ``"mask"``, whether they are candidates, not padding, ``(size,)``; ``"features"``,
    the scores of the levels ``(size, level_count)`` or nothing ``(size, 0)``; and ``"points"``, float64 ``(level_count,
    4)``, value, R = 0, A and S of the candidates that are discs, NaN for a level without one.

    Args:
        sources: lists of spines, which are used equally often; empty ones are ignored.
        samples: number of items.
        first_level: value of the first level.
        level_count: number of levels.
        scores: return the scores of the levels as features.
        size: number of candidates of an item with padding; further false candidates are dropped.
        options: arguments of :class:`bundle.phantoms.spine.candidate_simulation.CandidateOptions`.
        seed: seed of the items.

    Raises:
        ValueError: when there is no spine with a disc of the levels, or a number is out of range.
    """

    def __init__(
        self,
        sources: Sequence[Sequence[Spine]],
        samples: int = 1000,
        *,
        first_level: int = 2,
        level_count: int = 24,
        scores: bool = True,
        size: int = 40,
        options: Mapping[str, Any] | None = None,
        seed: int = 0,
    ) -> None:
        if samples < 1 or level_count < 1 or size < level_count:
            raise ValueError(
                "samples and level_count must be 1 or more, and size no less than level_count, got "
                f"{samples=}, {level_count=} and {size=}."
            )
        self.levels = range(first_level, first_level + level_count)
        usable = [[spine for spine in source if np.isin(spine[:, 0].round(), self.levels).any()] for source in sources]
        self.sources = [source for source in usable if source]
        if not self.sources:
            raise ValueError(f"there is no spine with a disc of the levels {self.levels[0]} to {self.levels[-1]}.")
        self.samples, self.scores, self.size, self.seed = samples, scores, size, seed
        self.options = CandidateOptions(**(options or {}))

    def set_random_state(self, seed: int | None = None, state: Any = None) -> CandidateDataset:
        """Set the seed of the items; MONAI calls this before every epoch."""
        self.seed = 0 if seed is None else seed
        return self

    def __len__(self) -> int:
        """Return the number of items."""
        return self.samples

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return an item.

        Raises:
            IndexError: when the index is out of range.
        """
        if not 0 <= index < self.samples:
            raise IndexError(f"there are {self.samples} sets of candidates, not one of number {index}.")
        rng = np.random.default_rng((self.seed, index))
        source = self.sources[rng.integers(len(self.sources))]
        drawn = draw_candidates(rng, source[rng.integers(len(source))], self.levels, self.options)
        return {"case": f"candidates{index:05d}", **self._padded(drawn)}

    def _padded(self, drawn: CandidateSet) -> dict[str, torch.Tensor]:
        """Return a padded set, discs first, so that none is dropped; the order has no influence on the network."""
        none = len(self.levels)
        order = np.argsort(drawn.classes == none, kind="stable")[: self.size]
        places, classes, count = drawn.places[order], drawn.classes[order], len(order)
        item = {
            "image": torch.zeros(self.size, 2),
            "label": torch.full((self.size,), ABSENT),
            "mask": torch.arange(self.size) < count,
            "features": torch.zeros(self.size, none if self.scores else 0),
            "points": torch.full((none, 4), torch.nan, dtype=torch.float64),
        }
        item["image"][:count] = torch.as_tensor(places)
        item["label"][:count] = torch.as_tensor(classes)
        if self.scores:
            item["features"][:count] = torch.as_tensor(drawn.scores[order])
        item["points"][:, 0] = torch.as_tensor(self.levels)
        discs = classes < none
        item["points"][classes[discs], 1] = 0.0
        item["points"][classes[discs], 2:] = torch.as_tensor(places[discs])
        return item


def listed_spines(
    dataset_dir: str | Path, split: Split = "training", *, datalist: str | Path | None = None, fold: int = 0
) -> list[Spine]:
    """Return the discs of the labeled cases of a dataset; images are not read.

    Args:
        dataset_dir: folder of the dataset, see :func:`bundle.data.select_cases`.
        split: the split of the cases.
        datalist: JSON file in MSD form.
        fold: the validation fold.

    Raises:
        bundle.data.DatalistError: as :func:`bundle.data.select_cases`.
        bundle.tasks.spine.discs.DiscFileError: when a file of points cannot be used.
    """
    cases = select_cases(dataset_dir, split, datalist, fold)
    spines = [LoadDiscPointsd("label", extrapolated=True)({"label": case["label"]})["points"] for case in cases]
    return [spine for spine in spines if len(spine)]


def drawn_spines(count: int, *, seed: int = 0) -> list[Spine]:
    """Return the discs of random complete spines (:func:`bundle.phantoms.spine.spine_geometry.draw_spine`).

    They differ from the spines of the phantoms of the same seed.

    Args:
        count: number of spines; a larger set begins with a smaller one.
        seed: the seed.

    Examples:
        >>> [spine.shape[1] for spine in drawn_spines(2, seed=0)]
        [4, 4]
    """
    spines = []
    for rng in _generators(count, seed):
        spines.append(draw_spine(rng, lumbar_vertebrae=draw_lumbar_vertebrae(rng)).tips())
    return spines


def prior_spines(prior: SkeletonPrior, count: int, *, seed: int = 0) -> list[Spine]:
    """Return random spines around the mean of a skeleton prior.

    As a prior has no correlation between discs, each is shifted independently; discs that would change their order stay
    at the mean.

    Args:
        prior: the prior.
        count: number of spines; a larger set begins with a smaller one.
        seed: the seed.
    """
    spines = []
    for rng in _generators(count, seed):
        places = prior.means + rng.normal(0, 1, prior.means.shape) * prior.spread
        while (crossed := _crossed(places)).any():
            places[crossed] = prior.means[crossed]
        spines.append(np.column_stack([prior.levels, np.zeros(len(places)), places]))
    return spines


def _generators(count: int, seed: int) -> list[np.random.Generator]:
    return [np.random.default_rng((seed, number, SPINE_SEED)) for number in range(count)]


def _crossed(places: np.ndarray) -> np.ndarray:
    """Return which discs are not below the previous one, or not above the next."""
    wrong = np.diff(places[:, 1]) >= 0
    return np.append(wrong, False) | np.insert(wrong, 0, False)
