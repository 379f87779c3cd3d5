"""Small files of a network in int8, made without PyTorch and NNCF."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bundle.inference.int8_network import int8_path, without_telemetry, write_int8
from bundle.utils.digests import sha256_of_file


def write_sign_network(
    checkpoint: Path,
    window: Sequence[int],
    *,
    factors: Sequence[float] = (1, -1),
    first_plane: float = 0,
    weights: str | None = None,
) -> Path:
    """Write a network next to weights whose scores are the image times ``factors``, and return its path.

    Args:
        checkpoint: the weights; written if missing.
        window: shape ``[1, ...]`` of its windows.
        factors: of the two classes.
        first_plane: is added to the score of the first class in the first plane of the first axis.
        weights: SHA-256 in the file; None for that of the weights.
    """
    with without_telemetry():
        import openvino
        from openvino import opset13 as ops
    if not checkpoint.is_file():
        checkpoint.write_bytes(b"weights")
    image = ops.parameter([1, *window], np.float32)
    scale = np.array(factors, np.float32).reshape(1, -1, *[1] * (len(window) - 1))
    added = np.zeros((1, 2, *window[1:]), np.float32)
    added[0, 0, 0] = first_plane
    scores = ops.add(ops.multiply(image, ops.constant(scale)), ops.constant(added))
    with tempfile.TemporaryDirectory() as name:
        files = Path(name, "model.xml"), Path(name, "model.bin")
        openvino.serialize(openvino.Model([scores], [image]), *map(str, files))
        about = {"weights": weights or sha256_of_file(checkpoint), "window": list(window)}
        write_int8(int8_path(checkpoint), about, *(file.read_bytes() for file in files))
    return int8_path(checkpoint)
