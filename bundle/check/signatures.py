"""Signatures of images: a digest of the content, and a small image of the details for near-duplicates.

The small image is the mean in the cells of a coarse grid, less its own blur, scaled to length 1. Brightness and
contrast drop out, and so does what all images of a kind share, such as a bright middle; details remain that a copy
keeps when it is stored again, resized, brightened or made noisy.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import nibabel as nib
import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from torch.nn import functional

CELLS = {2: 32, 3: 16}
"""Cells per side of the coarse grid, by the number of axes."""

BLUR = 2.0
"""Deviation of the blur that is taken off, in cells."""

SIMILAR = 0.9
"""Correlation from which two images count as near-duplicates."""

BLOCK = 512
"""Images that are compared with all others at a time."""


def digest(pixels: np.ndarray) -> str:
    """Return a digest of size and content, which do not depend on the format of the file."""
    content = hashlib.sha256(repr((pixels.shape, pixels.dtype.str)).encode())
    content.update(np.ascontiguousarray(pixels).data)
    return content.hexdigest()


def signature(image: np.ndarray, affine: np.ndarray | None = None) -> np.ndarray | None:
    """Return the small image, float32 of length 1.

    Args:
        image: gray image ``(H, W)`` or volume ``(D, H, W)``, finite.
        affine: of the volume, whose axes are put in the order of RAS+; None leaves the axes as they are.

    Returns:
        The small image with :data:`CELLS` cells per side; None for an image without details.
    """
    values = torch.as_tensor(np.ascontiguousarray(image, dtype=np.float32))[None, None]
    pool = functional.adaptive_avg_pool2d if image.ndim == 2 else functional.adaptive_avg_pool3d
    small = pool(values, CELLS[image.ndim])[0, 0].numpy().astype(np.float64)
    if affine is not None:
        small = nib.orientations.apply_orientation(small, nib.io_orientation(affine))
    scale = np.abs(small).max()
    details = small - gaussian_filter(small, BLUR)
    length = np.linalg.norm(details)
    return (details / length).astype(np.float32) if length > 1e-6 * scale else None


def similar_pairs(signatures: np.ndarray, threshold: float = SIMILAR) -> Iterator[tuple[int, int, float]]:
    """Find near-duplicates, mirrored copies included; of images also those in quarter turns.

    Args:
        signatures: ``(n, cells, cells)`` or ``(n, cells, cells, cells)``, each of length 1.
        threshold: least correlation.

    Yields:
        Two indices, the lower one first, and their correlation.
    """
    count = len(signatures)
    flat = signatures.reshape(count, -1)
    for start in range(0, count, BLOCK):
        block = signatures[start : start + BLOCK]
        best = np.max([turned.reshape(len(block), -1) @ flat.T for turned in _turned(block)], axis=0)
        for row, column in np.argwhere(best >= threshold):
            if start + row < column:
                yield int(start + row), int(column), float(best[row, column])


def _turned(block: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the images as they are and mirrored: volumes from left to right, images in all eight ways."""
    if block.ndim == 4:
        yield block
        yield block[:, ::-1]
        return
    for mirrored in (block, block[:, ::-1]):
        for quarters in range(4):
            yield np.rot90(mirrored, quarters, axes=(1, 2))
