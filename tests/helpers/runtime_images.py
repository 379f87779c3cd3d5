"""Images in different orientations, as the runtime and the workflows prepare them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from helpers.phantoms import rotation
from monai.transforms import Compose, Orientationd

from bundle.grid import CropConstantBorderd, ResampleSpacingd
from bundle.io import LoadVolumed

OPTIONS: dict[str, Any] = {"channels": ["image"], "spacing_range": (0.2, 5.0), "crop_border": True}
AFFINES = {
    "RAS": np.diag([1.3, 0.7, 2.2, 1.0]),
    "LPS": np.diag([-1.3, -0.7, 2.2, 1.0]),
    "permuted": np.array([[0, 0, -2.2, 3], [1.3, 0, 0, 4], [0, 0.7, 0, 5], [0, 0, 0, 1.0]]),
    "oblique": rotation(8, -11, 5) @ np.diag([-0.9, 1.1, 2.0, 1.0]),
}


def workflow(file: Path, **resampling: object) -> Any:
    """Return an image as the transforms of a workflow prepare it."""
    steps = [
        LoadVolumed("image", channels=1),
        Orientationd("image", axcodes="RAS", labels=None),
        CropConstantBorderd("image"),
        ResampleSpacingd("image", **resampling),
    ]
    return Compose(steps)({"image": str(file)})["image"]
