"""The largest connected component of a mask."""

from __future__ import annotations

import numpy as np

from keyslice_runtime.utils.components import find_components


def largest_component(mask: np.ndarray) -> np.ndarray:
    """Return the largest connected component of a mask; of an empty one, the mask.

    Voxels that share a face are connected. Of components of one size the first in the order of the array counts.

    Examples:
        >>> largest_component(np.array([True, False, True, True])).tolist()
        [False, False, True, True]
    """
    components = find_components(mask)
    return components.mask(int(components.sizes.argmax())) if len(components.sizes) else mask
