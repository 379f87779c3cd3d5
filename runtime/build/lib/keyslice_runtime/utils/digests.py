"""SHA-256 digests of files and of plain values."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

SAMPLES, SAMPLE_BYTES = 16, 1 << 16


def sha256_of_file(path: str | Path) -> str:
    """Return the SHA-256 of the content of a file."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_of_samples(path: str | Path) -> str:
    """Return the SHA-256 of the size of a file and of evenly spread parts of it, all of it up to 1 MB; a fast look."""
    size = Path(path).stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with open(path, "rb") as stream:
        for start in (*range(0, size, max(size // SAMPLES, SAMPLE_BYTES)), max(size - SAMPLE_BYTES, 0)):
            stream.seek(start)
            digest.update(stream.read(SAMPLE_BYTES))
    return digest.hexdigest()


def sha256_of_values(values: Any) -> str:
    """Return the SHA-256 of plain values, lists and dictionaries; the order of keys does not count."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
