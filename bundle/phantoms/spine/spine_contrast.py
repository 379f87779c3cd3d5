"""Signals of the tissues of the spine phantom in common MR sequences."""

from __future__ import annotations

import numpy as np

Range = tuple[float, float]

TISSUES = (
    *("csf", "cord", "roots", "fat", "marrow", "nucleus", "annulus", "bone", "ligament"),
    *("muscle", "organ", "vessel", "vein", "skin", "brain", "fluid"),
)
"""Tissues in the order of the values of ``SIGNALS``; ``bone`` is cortical, ``vein`` is the basivertebral vein."""

SIGNALS: dict[str, tuple[Range, ...]] = {
    "t2": (
        *((0.80, 1.00), (0.28, 0.45), (0.40, 0.60), (0.55, 0.95), (0.20, 0.45), (0.38, 0.80), (0.04, 0.14)),
        *((0.02, 0.09), (0.03, 0.11), (0.09, 0.22), (0.12, 0.40), (0.02, 0.10), (0.40, 0.75), (0.35, 0.60)),
        *((0.30, 0.48), (0.80, 1.00)),
    ),
    "t1": (
        *((0.10, 0.22), (0.30, 0.44), (0.20, 0.30), (0.80, 1.00), (0.34, 0.60), (0.22, 0.36), (0.16, 0.28)),
        *((0.04, 0.12), (0.05, 0.14), (0.20, 0.34), (0.18, 0.42), (0.03, 0.14), (0.12, 0.30), (0.50, 0.80)),
        *((0.36, 0.50), (0.12, 0.25)),
    ),
    "t1_gre": (
        *((0.22, 0.42), (0.55, 0.80), (0.40, 0.55), (0.45, 0.95), (0.10, 0.34), (0.45, 0.70), (0.40, 0.62)),
        *((0.03, 0.10), (0.08, 0.20), (0.40, 0.60), (0.25, 0.55), (0.30, 0.95), (0.15, 0.35), (0.40, 0.70)),
        *((0.50, 0.72), (0.15, 0.30)),
    ),
    "ffe": (
        *((0.82, 1.00), (0.66, 0.86), (0.70, 0.90), (0.05, 0.35), (0.28, 0.46), (0.66, 0.92), (0.50, 0.74)),
        *((0.03, 0.12), (0.10, 0.24), (0.32, 0.52), (0.15, 0.50), (0.40, 0.75), (0.40, 0.65), (0.30, 0.60)),
        *((0.55, 0.75), (0.70, 0.90)),
    ),
    "stir": (
        *((0.85, 1.00), (0.40, 0.56), (0.50, 0.70), (0.04, 0.18), (0.10, 0.24), (0.40, 0.75), (0.08, 0.20)),
        *((0.02, 0.08), (0.04, 0.12), (0.22, 0.38), (0.20, 0.50), (0.03, 0.20), (0.50, 0.80), (0.10, 0.30)),
        *((0.42, 0.58), (0.85, 1.00)),
    ),
}
"""Lowest and highest signal of each tissue in a sequence, where the brightest tissue is 1: spin-echo T1 and T2,
gradient-echo T1 (isotropic volumes), gradient-echo water image, and fat-suppressed T2."""

FREQUENCY = {"t2": 0.5, "t1": 0.22, "t1_gre": 0.08, "ffe": 0.12, "stir": 0.08}
"""Frequency of the sequences."""


def draw_contrast(rng: np.random.Generator, contrast: str | None = None) -> tuple[str, dict[str, float]]:
    """Draw the sequence (if ``contrast`` is None) and the signal of each tissue in it.

    Raises:
        ValueError: when the sequence is unknown.
    """
    drawn = str(rng.choice(list(FREQUENCY), p=list(FREQUENCY.values())))
    name = drawn if contrast is None else contrast
    if name not in SIGNALS:
        raise ValueError(f"contrast must be one of {', '.join(SIGNALS)}, or None to draw it, got {contrast!r}.")
    return name, {tissue: float(rng.uniform(*signal)) for tissue, signal in zip(TISSUES, SIGNALS[name], strict=True)}
