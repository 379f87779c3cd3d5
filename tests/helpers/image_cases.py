"""Small images of skin with one dark lesion each, and their masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter


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


def draw_skin(height: int, width: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return an image as :func:`draw_lesion`, with the soft border and the textures of skin and of a nevus."""
    rng, side = np.random.default_rng(seed), min(height, width)

    def texture(size: float) -> np.ndarray:
        values = gaussian_filter(rng.normal(size=(height, width)), side / size)
        return values / values.std()

    rows, columns = np.mgrid[:height, :width]
    center, radii = rng.uniform(0.42, 0.58, 2) * (height, width), rng.uniform(0.22, 0.33, 2) * side
    distance = 1 - np.hypot((rows - center[0]) / radii[0], (columns - center[1]) / radii[1]) + 0.1 * texture(14)
    share = 1 / (1 + np.exp(-22 * distance[..., None]))
    skin = [224, 176, 158] + (6 * texture(5) + 3 * texture(90))[..., None]
    lesion = [128, 84, 66] + (14 * texture(22) + 8 * texture(80))[..., None]
    image = skin * (1 - share) + lesion * share + rng.normal(0, 2, (height, width, 1))
    return image.clip(0, 255).round().astype(np.uint8), ((distance > 0) * 255).astype(np.uint8)


def write_lesions(folder: Path, count: int, size: tuple[int, int] = (48, 64)) -> Path:
    """Write ``images/lesion<k>.png`` and ``masks/lesion<k>.png``; return the folder."""
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for number in range(count):
        image, mask = draw_lesion(*size, seed=number)
        Image.fromarray(image).save(folder / "images" / f"lesion{number}.png")
        Image.fromarray(mask).save(folder / "masks" / f"lesion{number}.png")
    return folder
