"""Simulated acquisition of a spine phantom: blur, shading by the coil, noise, and contrast."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import gaussian_filter


def acquire(
    rng: np.random.Generator,
    voxels: np.ndarray,
    spacing: Sequence[float],
    *,
    noise: float | None = None,
    bias_field: float | None = None,
) -> np.ndarray:
    """Return a magnitude image of a signal.

    Args:
        rng: random generator.
        voxels: (R, A, S) float32, not negative.
        spacing: voxel size in mm.
        noise: standard deviation of the Gaussian noise of the real and of the imaginary channel, relative to the signal
            of the brightest tissue after shading; None draws it.
        bias_field: strength of the shading, 0 for none, 1 for a typical one; None draws it.

    Returns:
        float32 of the same shape; the brightest tissue is about 1.
    """
    blur = rng.uniform(0.3, 0.95) / np.asarray(spacing)[1:]
    image = gaussian_filter(voxels, (0, *blur), truncate=2.5)
    drawn = rng.uniform(0.2, 1.3)
    image *= shading(rng, image.shape, spacing, drawn if bias_field is None else bias_field)
    image /= max(float(np.percentile(image[:, ::3, ::3], 99.5)), 1e-3)
    drawn = rng.uniform(0.003, 0.03)
    deviation = np.float32(drawn if noise is None else noise)
    real, imaginary = rng.standard_normal((2, *image.shape), dtype=np.float32)
    image = np.hypot(image + deviation * real, deviation * imaginary)
    return image ** np.float32(rng.uniform(0.85, 1.2))


def shading(rng: np.random.Generator, shape: Sequence[int], spacing: Sequence[float], strength: float) -> np.ndarray:
    """Draw a receive sensitivity (1, A, S) float32: of a posterior coil, with slow waves and often a saturation band.

    The anterior saturation band suppresses artifacts of the motion of the organs.
    """
    a, s = np.linspace(0, 1, shape[1])[:, None], np.linspace(-1, 1, shape[2])[None]
    distance = a * shape[1] * spacing[1]
    fall = np.exp(-strength * distance / rng.uniform(90, 220))
    ends = np.exp(-strength * rng.uniform(0, 0.8) * (s - rng.uniform(-0.3, 0.3)) ** 2)
    wave = 1 + 0.1 * strength * np.cos(rng.uniform(1, 5) * a + rng.uniform(1, 4) * s + rng.uniform(0, 6.3))
    front = rng.uniform(0.05, 1) if rng.uniform() < 0.4 else 1.0
    edge = rng.uniform(0.6, 0.85) + rng.uniform(-0.1, 0.1) * s
    band = 1 - (1 - front) * min(strength, 1) * np.clip((a - edge) / 0.06, 0, 1)
    return (fall * ends * wave * band).astype(np.float32)[None]
