"""Whether a file of a result is whole: one that was changed and is whole was corrected by hand."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from bundle.io.load_volume import LoadVolumed

CHUNK = 1 << 20
"""Bytes that are read at once."""

END_OF_PNG = b"IEND\xaeB`\x82"
"""Last chunk of a PNG."""


def is_whole(path: Path) -> bool:
    """Return whether a file can be read to its end; False for a format that is not known.

    A text that lacks its last lines cannot be told from one whose lines were removed by hand.
    """
    ending = next((ending for ending in _READ if path.name.lower().endswith(ending)), None)
    if ending is None or not path.is_file():
        return False
    try:
        return _READ[ending](path)
    except Exception:  # whatever the reader of the format has to say, the file is not whole
        return False


def _read_text(path: Path) -> bool:
    text = path.read_text(encoding="utf-8-sig")
    return bool(text.strip()) and "\0" not in text


def _read_json(path: Path) -> bool:
    json.loads(path.read_text(encoding="utf-8-sig"))
    return True


def _read_picture(path: Path) -> bool:
    with Image.open(path) as picture:
        picture.load()
    return path.read_bytes().endswith(END_OF_PNG)


def _read_volume(path: Path) -> bool:
    if path.suffix.lower() == ".gz":
        with gzip.open(path) as stream:  # the end, with the checksum, is behind the voxels
            while stream.read(CHUNK):
                pass
    LoadVolumed("image", spacing_range=(0.0, float("inf")))({"image": path})
    return True


_READ: dict[str, Callable[[Path], bool]] = {
    **dict.fromkeys((".csv", ".tsv"), _read_text),
    ".json": _read_json,
    ".png": _read_picture,
    **dict.fromkeys((".nii.gz", ".nii", ".nrrd", ".mha"), _read_volume),
}
"""What reads a file to its end, by the ending of its name."""
