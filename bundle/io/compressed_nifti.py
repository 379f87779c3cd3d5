"""Compressed NIfTI files, read to their end: there stands the checksum by which damage is found."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nibabel as nib

CHUNK = 2**20


@contextmanager
def open_nifti(file: str | Path) -> Iterator[Any]:
    """Open a NIfTI file, whose voxels are to be read inside of the block.

    nibabel (5.4.2) reads as many bytes as the header asks for, and so never reaches the checksum of gzip: a file with a
    damaged block gives other voxels without an error. Leaving the block reads the rest.

    Args:
        file: the file.

    Yields:
        The image of nibabel.

    Raises:
        OSError: when the checksum is not that of the content.
        EOFError: when the file is cut off.
    """
    image: Any = nib.load(file)
    if not isinstance(image, nib.Nifti1Image) or not str(file).lower().endswith(".gz"):
        yield image
        return
    with gzip.open(file) as stream:
        yield type(image).from_stream(stream)
        while stream.read(CHUNK):
            pass
