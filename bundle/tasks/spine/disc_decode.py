"""Discs with their levels from the heat maps of sagittal slabs."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform

from .discs.disc_points import Disc
from .discs.level_certainty import LevelCertainty
from .discs.skeleton import SkeletonPrior
from .sagittal_slab import SLAB_POSITIONS
from .skeleton_decoder import SkeletonDecoder, disc_position

NUMBERING = "numbering"
"""Key of the certainty of the numbering of a case."""


class SlabDecoderd(MapTransform):
    """Base of the transforms that find the discs in the heat maps ``(N, C, a, s)`` of N sagittal slabs.

    Between left and right, the position of a disc is the mean of the slabs weighted by their response to it, so that
    the points of a scoliotic spine need not be in one plane.

    Args:
        keys: key of the heat maps.
        first_level: number of the disc of the first channel.
        image_key: key of the slabs ``(N, 1, A, S)``, see :class:`bundle.tasks.spine.SagittalSlabsd`.
        stride: pixels of a slab per cell of the maps.
        allow_missing_keys: skip missing keys.
    """

    def __init__(
        self,
        keys: KeysCollection,
        *,
        first_level: int = 2,
        image_key: str = "image",
        stride: int = 4,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.first_level, self.image_key, self.stride = first_level, image_key, stride

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Add the discs, a list of :class:`bundle.tasks.spine.discs.Disc` from head to foot, as ``"discs"``.

        The certainty of their numbering is added as ``"numbering"``, None if unknown.
        """
        d = dict(data)
        for key in self.key_iterator(d):
            maps = torch.as_tensor(d[key]).detach().float().cpu()
            slabs = d[self.image_key]
            affine = np.asarray(slabs.affine, dtype=float)
            d["discs"], d[NUMBERING] = self.decode(maps, affine, slabs.meta[SLAB_POSITIONS])
        return d

    @abstractmethod
    def decode(
        self, maps: torch.Tensor, affine: np.ndarray, positions: Sequence[float]
    ) -> tuple[list[Disc], LevelCertainty | None]:
        """Return the discs in maps ``(N, C, a, s)`` of slabs with an affine and positions in mm along R.

        The second value is the certainty of their numbering, None if unknown.
        """

    def position(
        self, maps: torch.Tensor, pixel: np.ndarray, affine: np.ndarray, positions: Sequence[float]
    ) -> tuple[float, float, float]:
        """Return R, A and S in mm of a disc at a pixel ``(2,)``, by the maps ``(N, a, s)`` of its level."""
        return disc_position(maps.numpy(), pixel, affine, positions, stride=self.stride)


class DecodeDiscsd(SlabDecoderd):
    """Find the discs in the heat maps ``(N, C, a, s)`` of N sagittal slabs by a search over skeletons.

    The highest response over the slabs decides in the sagittal plane: its peaks are the candidates of a level. A peak
    that is too wide for a single disc is moved to the nearest disc of any level
    (:mod:`bundle.tasks.spine.discs.snap`). The exact search over skeletons chooses among
    them (:mod:`bundle.tasks.spine.discs.skeleton_search`), in mm along the axes of the slabs, so that the orientation
    of the slabs in the world has no influence. See :class:`SlabDecoderd` for the positions between left and right.

    Args:
        keys: key of the heat maps.
        skeleton: mean relative positions of the discs.
        first_level: number of the disc of the first channel.
        image_key: key of the slabs ``(N, 1, A, S)``, see :class:`bundle.tasks.spine.SagittalSlabsd`.
        stride: pixels of a slab per cell of the maps.
        peaks: ``threshold``, ``count`` per level and ``min_distance`` of the peaks that are candidates, see
            :func:`bundle.tasks.spine.discs.find_candidates`; defaults in :data:`.skeleton_decoder.PEAKS`.
        snap_mm: largest distance by which a wide candidate is moved to the nearest disc of any level; 0 moves none.
        search: options of :func:`bundle.tasks.spine.discs.search_skeleton`.
        thoracic_vertebrae: expected number, 11, 12 or 13.
        lumbar_vertebrae: expected number, 4, 5 or 6.
        allow_missing_keys: skip missing keys.

    Examples:
        >>> from monai.data import MetaTensor
        >>> from bundle.tasks.spine.discs import make_heatmaps
        >>> skeleton = SkeletonPrior((20, 21), np.array([[0.0, 15.0], [0.0, -15.0]]), np.full((2, 2), 5.0), (1, 1))
        >>> maps = make_heatmaps([[30.0, 60.0], [30.0, 30.0]], (16, 24), sigma=4.0, stride=4)
        >>> slabs = MetaTensor(torch.zeros(1, 1, 64, 96), affine=torch.eye(4))
        >>> slabs.meta[SLAB_POSITIONS] = torch.zeros(1)
        >>> decode = DecodeDiscsd("pred", skeleton=skeleton, first_level=20)
        >>> [disc.name for disc in decode({"image": slabs, "pred": maps[None]})["discs"]]
        ['T12-L1', 'L1-L2']
    """

    def __init__(
        self,
        keys: KeysCollection,
        *,
        skeleton: SkeletonPrior,
        first_level: int = 2,
        image_key: str = "image",
        stride: int = 4,
        peaks: Mapping[str, Any] | None = None,
        snap_mm: float = 10.0,
        search: Mapping[str, Any] | None = None,
        thoracic_vertebrae: int = 12,
        lumbar_vertebrae: int = 5,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(
            keys, first_level=first_level, image_key=image_key, stride=stride, allow_missing_keys=allow_missing_keys
        )
        self.decoder = SkeletonDecoder(
            skeleton,
            first_level=first_level,
            stride=stride,
            peaks=peaks,
            snap_mm=snap_mm,
            search=search,
            vertebrae={"thoracic": thoracic_vertebrae, "lumbar": lumbar_vertebrae},
        )

    def decode(
        self, maps: torch.Tensor, affine: np.ndarray, positions: Sequence[float]
    ) -> tuple[list[Disc], LevelCertainty | None]:
        """Return the discs in maps ``(N, C, a, s)`` of slabs, and the certainty of their numbering."""
        return self.decoder.decode(maps.numpy(), affine, positions)
