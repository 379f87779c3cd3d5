"""Writing of the figure of a case of disc labeling."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform
from torch import nn

from bundle.io.volume_files import stem_of
from bundle.utils.parse_bool import parse_bool

from .disc_decode import NUMBERING
from .disc_figures import save_disc_figure
from .discs.level_certainty import LevelCertainty
from .sagittal_slab import SLAB_POSITIONS

logger = logging.getLogger(__name__)


def describe_numbering(certainty: LevelCertainty | None) -> str:
    """Return a line about the certainty of a numbering; nothing if it is unknown.

    Examples:
        >>> describe_numbering(LevelCertainty(0.984))
        'numbering certain, p = 0.98'
    """
    if certainty is None:
        return ""
    return f"numbering {certainty.status}, p = {certainty.probability:.2f}"


class SaveDiscFigured(MapTransform):
    """Write ``<output_dir>/<case>.png``: the slab nearest to the predicted discs, with their names and confidence.

    The title states whether the numbering is certain (``data["numbering"]``).

    Args:
        keys: key of the discs, a list of :class:`bundle.tasks.spine.discs.Disc`.
        output_dir: folder to write to; created if missing.
        image_key: key of the slabs ``(N, 1, A, S)``.
        enabled: False to write nothing; without matplotlib nothing is written either, with a warning.
        network: network whose gate over its levels (``attention_map``) is drawn next to the slab; None for none.

    Raises:
        ValueError: when ``enabled`` is neither true nor false, or the network has no ``attention_map``.
    """

    def __init__(
        self,
        keys: KeysCollection,
        *,
        output_dir: str | Path,
        image_key: str = "image",
        enabled: bool | str = True,
        network: nn.Module | None = None,
    ) -> None:
        super().__init__(keys)
        self.output_dir, self.image_key, self.network = Path(str(output_dir)), image_key, network
        self.enabled = parse_bool("figure", enabled)
        if network is not None and not hasattr(network, "attention_map"):
            raise ValueError(
                f"{type(network).__name__} has no attention to draw; set the network of the figure to None."
            )
        if self.enabled and find_spec("matplotlib") is None:
            logger.warning("no figures: they are drawn with matplotlib; pip install 'keyslice[demo]'")
            self.enabled = False

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Write the figure."""
        d = dict(data)
        for key in self.key_iterator(d) if self.enabled else ():
            slabs = d[self.image_key]
            affine = np.asarray(slabs.affine, dtype=float)
            middle = np.median([disc.position for disc in d[key]], axis=0) if d[key] else affine[:3, 3]
            along = (middle - affine[:3, 3]) @ affine[:3, 0] / np.linalg.norm(affine[:3, 0])
            chosen = int(np.abs(np.asarray(slabs.meta[SLAB_POSITIONS]) - along).argmin())
            slab = torch.as_tensor(slabs)[chosen]
            case = str(d.get("case", stem_of(slabs.meta["filename_or_obj"])))
            self.output_dir.mkdir(parents=True, exist_ok=True)
            save_disc_figure(
                slab[0].cpu().numpy(),
                d[key],
                self.output_dir / f"{case}.png",
                affine=affine,
                attention=self._attention(slab),
                title="\n".join(filter(None, (case, describe_numbering(d.get(NUMBERING))))),
            )
        return d

    def _attention(self, slab: torch.Tensor) -> np.ndarray | None:
        """Return the network's gate ``(A, S)`` over a slab ``(1, A, S)``."""
        if self.network is None:
            return None
        attention_map: Any = self.network.attention_map
        with torch.no_grad():
            return attention_map(slab[None])[0, 0].cpu().numpy()
