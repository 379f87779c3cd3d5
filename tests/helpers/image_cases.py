"""Small images of skin with one dark lesion each, and their masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def draw_lesion(height: int, width: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return an image ``(H, W, 3)``, uint8, and its mask ``(H, W)``, 0 and 255."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    center = rng.uniform(0.4, 0.6, 2) * (height, width)
    radii = rng.uniform(0.2, 0.35, 2) * min(height, width)
    inside = ((rows - center[0]) / radii[0]) ** 2 + ((columns - center[1]) / radii[1]) ** 2 < 1
    skin, lesion = np.array([222, 184, 160]), np.array([110, 70, 55])
    image = np.where(inside[..., None], lesion, skin) + rng.normal(0, 8, (height, width, 3))
    return image.clip(0, 255).round().astype(np.uint8), (inside * 255).astype(np.uint8)


def write_lesions(folder: Path, count: int, size: tuple[int, int] = (48, 64)) -> Path:
    """Write ``images/lesion<k>.png`` and ``masks/lesion<k>.png``; return the folder."""
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for number in range(count):
        image, mask = draw_lesion(*size, seed=number)
        Image.fromarray(image).save(folder / "images" / f"lesion{number}.png")
        Image.fromarray(mask).save(folder / "masks" / f"lesion{number}.png")
    return folder
