"""Discs from candidate points: a network predicts the level of each, in the order of the spine.

The "look once" labeling of Azad et al. (https://arxiv.org/abs/2204.02943), an alternative to the search over skeletons
of :mod:`bundle.tasks.spine.disc_decode`: candidates are not assigned to levels in advance.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform
from torch import nn

from bundle.utils.errors import BundleError
from bundle.utils.lengths import is_at_least

from .disc_decode import SlabDecoderd
from .discs.disc_points import Disc
from .discs.level_assignment import assign_levels
from .discs.level_certainty import LevelCertainty, certainty_of
from .discs.peak_candidates import Candidates, find_candidates
from .slab_geometry import voxel_size

PEAKS: dict[str, Any] = {"threshold": 0.2, "count": 4, "min_distance": 6.0}
"""Default options of :func:`bundle.tasks.spine.discs.find_candidates`."""


FORBIDDEN = -1e6
"""Log-probability of a level that is not to be chosen."""


class LabelCandidatesd(SlabDecoderd):
    """Find the discs in the heat maps ``(N, C, a, s)`` of N sagittal slabs by a network that labels candidates.

    The candidates are the peaks of the highest response over slabs and levels, each at the centroid in the map of the
    level with the highest response, in mm along the axes of the slabs. A :class:`bundle.networks.CandidateNet` predicts
    the probabilities of the levels and of not being a disc, and the most probable increasing levels are chosen
    (:func:`bundle.tasks.spine.discs.level_assignment.assign_levels`), so that no level is repeated or out of order. The
    confidence of a disc is the predicted probability of its level. See :class:`.SlabDecoderd` for the positions between
    left and right.

    The attribute ``weights`` is a digest of the weights of the network, by which a resumed run detects other weights
    (:mod:`bundle.utils.describe`).

    Args:
        keys: key of the heat maps.
        network: network of the A and S of the candidates in mm, for as many levels as there are maps; one with features
            also gets the values of all maps at each candidate, from 0 to 1.
        first_level: number of the disc of the first channel.
        image_key: key of the slabs ``(N, 1, A, S)``, see :class:`bundle.tasks.spine.SagittalSlabsd`.
        stride: pixels of a slab per cell of the maps.
        peaks: ``threshold``, ``count`` per channel and ``min_distance`` in pixels of the peaks that are candidates, see
            :func:`bundle.tasks.spine.discs.find_candidates`; defaults in :data:`PEAKS`.
        min_gap: minimum distance along S between two discs in mm.
        thoracic_vertebrae: expected number; the network knows 12 alone.
        lumbar_vertebrae: expected number; the network knows 5 alone.
        allow_missing_keys: skip missing keys.

    Raises:
        BundleError: when other numbers of vertebrae are expected.
    """

    def __init__(
        self,
        keys: KeysCollection,
        *,
        network: nn.Module,
        first_level: int = 2,
        image_key: str = "image",
        stride: int = 4,
        peaks: Mapping[str, Any] | None = None,
        min_gap: float = 4.0,
        thoracic_vertebrae: int = 12,
        lumbar_vertebrae: int = 5,
        allow_missing_keys: bool = False,
    ) -> None:
        if (thoracic_vertebrae, lumbar_vertebrae) != (12, 5):
            raise BundleError(
                f"the network of candidates knows 12 thoracic and 5 lumbar vertebrae alone, got thoracic_vertebrae="
                f"{thoracic_vertebrae}, lumbar_vertebrae={lumbar_vertebrae}; search without networks/candidates.json."
            )
        super().__init__(
            keys, first_level=first_level, image_key=image_key, stride=stride, allow_missing_keys=allow_missing_keys
        )
        self.network, self.peaks, self.min_gap = network.eval(), {**PEAKS, **(peaks or {})}, min_gap
        self.weights = _digest(network)

    def decode(
        self, maps: torch.Tensor, affine: np.ndarray, positions: Sequence[float]
    ) -> tuple[list[Disc], LevelCertainty | None]:
        """Return the discs in maps ``(N, C, a, s)`` of slabs, and the certainty of their numbering."""
        highest = maps.amax(dim=0)
        pixels, channels = self._candidates(highest)
        places = pixels * voxel_size(affine)[1:]
        logits = self._logits(places, self._scores(highest, pixels))
        chosen = assign_levels(places[:, 1], logits.log_softmax(-1).numpy(), min_gap=self.min_gap)
        lead = self._lead(places[:, 1], logits.log_softmax(-1).numpy(), chosen)
        probability = logits.softmax(-1)
        discs = []
        for row, level in enumerate(chosen):
            if level is not None:
                position = self.position(maps[:, channels[row]], pixels[row], affine, positions)
                confidence = min(float(probability[row, level]), 1.0)
                discs.append(Disc(self.first_level + level, position, confidence))
        values = [disc.value for disc in discs]
        certainty = certainty_of(values, 1 / (1 + math.exp(-lead))) if discs else None
        return sorted(discs, key=lambda disc: disc.value), certainty

    def _lead(self, heights: np.ndarray, table: np.ndarray, chosen: Sequence[int | None]) -> float:
        """Return the log-likelihood of levels above that of the best ones that give no candidate the same level."""
        gains = table - table[:, -1:]
        others = gains.copy()
        for row, level in enumerate(chosen):
            if level is not None:
                others[row, level] = FORBIDDEN
        second = assign_levels(heights, others, min_gap=self.min_gap)
        best, other = (
            sum(float(gains[row, level]) for row, level in enumerate(levels) if level is not None)
            for levels in (chosen, second)
        )
        return best - other

    def _candidates(self, highest: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Return the pixels ``(k, 2)`` of the candidates, the highest first, and their channels ``(k,)``."""
        found = find_candidates(highest, stride=self.stride, **self.peaks)
        return strongest(found, self.peaks["min_distance"])

    def _scores(self, highest: torch.Tensor, pixels: np.ndarray) -> torch.Tensor:
        """Return the values of all maps ``(C, a, s)`` at the cells of candidates, ``(k, C)`` from 0 to 1."""
        rows, columns = ((pixels + 0.5) / self.stride - 0.5).round().astype(int).T
        found = highest[:, rows.clip(0, highest.shape[1] - 1), columns.clip(0, highest.shape[2] - 1)]
        return found.T.clamp(0.0, 1.0)

    @torch.no_grad()
    def _logits(self, places: np.ndarray, scores: torch.Tensor) -> torch.Tensor:
        """Return the network's logits ``(k, levels + 1)`` in double precision."""
        levels, features = scores.shape[1], int(getattr(self.network, "features", 0))
        outputs = getattr(self.network, "out_channels", levels + 1)
        if outputs != levels + 1 or features not in (0, levels):
            raise ValueError(
                f"the candidate network has {outputs} outputs and {features} features, which do not fit {levels} heat "
                f"maps: it needs {levels + 1} outputs, and {levels} features or none. Set out_channels and features of "
                "the network, and its checkpoint."
            )
        device = next(self.network.parameters()).device
        points = torch.as_tensor(places, dtype=torch.float32, device=device)[None]
        inputs = scores.to(device)[None] if features else None
        return self.network(points, None, inputs)[0].double().cpu()


class AssignLevelsd(MapTransform):
    """Turn the logits of a set of candidates into ``data["discs"]``, with R = 0, for the validation of a training.

    Args:
        keys: key of the logits ``(N, levels + 1)``.
        first_level: number of the disc of the first level.
        image_key: key of the candidates' A and S in mm ``(N, 2)``.
        mask_key: key of the mask ``(N,)`` of valid candidates.
        min_gap: minimum distance along S between two discs in mm.
        allow_missing_keys: skip missing keys.
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
            valid = torch.as_tensor(d[self.mask_key]).cpu()
            logits = torch.as_tensor(d[key]).detach().double().cpu()[valid]
            places = torch.as_tensor(d[self.image_key]).double().cpu()[valid].tolist()
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
    """Return the candidates of all channels at a minimum distance to each other; of two closer ones the higher is kept.

    Args:
        channels: candidates of each channel.
        min_distance: minimum distance, in the unit of the positions.

    Returns:
        Positions ``(k, 2)``, the highest first, and the channel of each ``(k,)``.
    """
    positions = np.concatenate([found.positions for found in channels])
    heights = np.concatenate([found.confidence for found in channels])
    numbers = np.repeat(np.arange(len(channels)), [len(found) for found in channels])
    kept: list[int] = []
    for index in np.argsort(-heights, kind="stable"):
        if not kept or is_at_least(np.hypot(*(positions[kept] - positions[index]).T).min(), min_distance):
            kept.append(int(index))
    return positions[kept], numbers[kept]


def _digest(network: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(name.encode() + np.ascontiguousarray(value.detach().cpu()).tobytes())
    return digest.hexdigest()
