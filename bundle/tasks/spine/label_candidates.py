"""Discs from candidate points: a network tells the level of each, the order of the spine which levels go together.

The "look once" way to label (Azad et al., https://arxiv.org/abs/2204.02943) beside the search over skeletons of
:mod:`bundle.tasks.spine.disc_decode`: no candidate belongs to a level beforehand.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform
from torch import nn

from .disc_decode import DecodeDiscsd, to_world
from .discs.disc_points import Disc
from .discs.level_assignment import assign_levels
from .discs.peak_candidates import Candidates, find_candidates


class LabelCandidatesd(DecodeDiscsd):
    """Find the discs in the heat maps ``(N, C, a, s)`` of N sagittal slabs; they become ``data["discs"]``.

    The candidates are the peaks of the highest response over slabs and levels, each at the centroid in the map of the
    level that answers most, in mm along the axes of the slabs. A :class:`bundle.networks.CandidateNet` gives every one
    of them the probabilities of the levels and of being no disc, and the most probable levels that rise downward are
    taken (:func:`bundle.tasks.spine.discs.level_assignment.assign_levels`), so that no level is there twice or out of
    order. The confidence of a disc is the network's probability of its level. Between left and right, a disc is placed
    as by :class:`DecodeDiscsd`.

    The attribute ``weights`` is a digest of the network's weights, by which a run that goes on can tell that they are
    others (:mod:`bundle.inference.resume`).

    Args:
        keys: key of the heat maps.
        network: network of the candidates' A and S in mm, for as many levels as there are maps; one with features is
            given the values of all maps at each candidate, from 0 to 1.
        first_level: number of the disc of the first channel.
        image_key: key of the slabs ``(N, 1, A, S)``, see :class:`bundle.tasks.spine.SagittalSlabsd`.
        stride: pixels of a slab a cell of the maps.
        threshold: lowest peak that is a candidate.
        count: peaks of a channel that are looked at.
        min_distance: least distance between two candidates in pixels; the higher stays.
        min_gap: least distance along S between two discs in mm.
        allow_missing_keys: do nothing for a key that is not there.
    """

    def __init__(
        self,
        keys: KeysCollection,
        *,
        network: nn.Module,
        first_level: int = 2,
        image_key: str = "image",
        stride: int = 4,
        threshold: float = 0.2,
        count: int = 4,
        min_distance: float = 6.0,
        min_gap: float = 4.0,
        allow_missing_keys: bool = False,
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        self.network, self.first_level, self.image_key = network.eval(), first_level, image_key
        self.stride, self.threshold, self.count = stride, threshold, count
        self.min_distance, self.min_gap = min_distance, min_gap
        self.weights = _digest(network)

    def _decode(self, maps: torch.Tensor, affine: np.ndarray, positions: Sequence[float]) -> list[Disc]:
        highest = maps.amax(dim=0)
        pixels, channels = self._candidates(highest)
        places = pixels * np.linalg.norm(affine[:3, 1:3], axis=0)
        logits = self._logits(places, self._scores(highest, pixels))
        chosen = assign_levels(places[:, 1], logits.log_softmax(-1).numpy(), min_gap=self.min_gap)
        probability = logits.softmax(-1)
        thickness = float(np.linalg.norm(affine[:3, 0]))
        discs = []
        for row, level in enumerate(chosen):
            if level is not None:
                lateral = self._lateral(maps[:, channels[row]], pixels[row], positions) / thickness
                place = to_world(pixels[row : row + 1], affine, lateral)[0]
                confidence = min(float(probability[row, level]), 1.0)
                discs.append(Disc(self.first_level + level, tuple(place.tolist()), confidence))
        return sorted(discs, key=lambda disc: disc.value)

    def _candidates(self, highest: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Return the places ``(k, 2)`` in pixels of the candidates, the highest first, and their channels ``(k,)``."""
        found = find_candidates(
            highest, count=self.count, threshold=self.threshold, min_distance=self.min_distance, stride=self.stride
        )
        return strongest(found, self.min_distance)

    def _scores(self, highest: torch.Tensor, pixels: np.ndarray) -> torch.Tensor:
        """Return the values of all maps ``(C, a, s)`` at the cells of candidates, ``(k, C)`` from 0 to 1."""
        rows, columns = ((pixels + 0.5) / self.stride - 0.5).round().astype(int).T
        found = highest[:, rows.clip(0, highest.shape[1] - 1), columns.clip(0, highest.shape[2] - 1)]
        return found.T.clamp(0.0, 1.0)

    @torch.no_grad()
    def _logits(self, places: np.ndarray, scores: torch.Tensor) -> torch.Tensor:
        """Return the network's logits ``(k, levels + 1)`` in double precision."""
        levels, asked = scores.shape[1], int(getattr(self.network, "features", 0))
        outputs = getattr(self.network, "out_channels", levels + 1)
        if outputs != levels + 1 or asked not in (0, levels):
            raise ValueError(
                f"the candidate network has {outputs} outputs and {asked} features, which do not fit {levels} heat "
                f"maps: it needs {levels + 1} outputs, and {levels} features or none. Set out_channels and features of "
                "the network, and its checkpoint."
            )
        device = next(self.network.parameters()).device
        points = torch.as_tensor(places, dtype=torch.float32, device=device)[None]
        features = scores.to(device)[None] if asked else None
        return self.network(points, None, features)[0].double().cpu()


class AssignLevelsd(MapTransform):
    """Turn the logits of a set of candidates into ``data["discs"]``, with R = 0, for the validation of a training.

    Args:
        keys: key of the logits ``(N, levels + 1)``.
        first_level: number of the disc of the first level.
        image_key: key of the candidates' A and S in mm ``(N, 2)``.
        mask_key: key of which of them are there ``(N,)``.
        min_gap: least distance along S between two discs in mm.
        allow_missing_keys: do nothing for a key that is not there.
    """

    def __init__(
        self,
        keys: KeysCollection,
        *,
        first_level: int = 2,
        image_key: str = "image",
        mask_key: str = "mask",
        min_gap: float = 4.0,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.first_level, self.image_key, self.mask_key, self.min_gap = first_level, image_key, mask_key, min_gap

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Add the discs, a list of :class:`bundle.tasks.spine.discs.Disc` from head to foot."""
        d = dict(data)
        for key in self.key_iterator(d):
            there = torch.as_tensor(d[self.mask_key]).cpu()
            logits = torch.as_tensor(d[key]).detach().double().cpu()[there]
            places = torch.as_tensor(d[self.image_key]).double().cpu()[there].tolist()
            heights = np.array([s for _, s in places])
            chosen = assign_levels(heights, logits.log_softmax(-1).numpy(), min_gap=self.min_gap)
            discs = [
                Disc(self.first_level + level, (0.0, *place))
                for place, level in zip(places, chosen, strict=True)
                if level is not None
            ]
            d["discs"] = sorted(discs, key=lambda disc: disc.value)
        return d


def strongest(channels: Sequence[Candidates], min_distance: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the candidates of all channels of which no two lie closer than a distance; the higher of two stays.

    Args:
        channels: candidates of each channel.
        min_distance: least distance, in the unit of the positions.

    Returns:
        Positions ``(k, 2)``, the highest first, and the channel of each ``(k,)``.
    """
    positions = np.concatenate([found.positions for found in channels])
    heights = np.concatenate([found.confidence for found in channels])
    numbers = np.repeat(np.arange(len(channels)), [len(found) for found in channels])
    kept: list[int] = []
    for index in np.argsort(-heights, kind="stable"):
        if not kept or np.hypot(*(positions[kept] - positions[index]).T).min() >= min_distance:
            kept.append(int(index))
    return positions[kept], numbers[kept]


def _digest(network: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(name.encode() + np.ascontiguousarray(value.detach().cpu()).tobytes())
    return digest.hexdigest()
