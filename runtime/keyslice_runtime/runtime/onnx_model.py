"""An exported model: its ONNX Runtime session, and what its metadata say."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from keyslice_runtime.utils.errors import FileError

from .model_format import FINDER, METADATA

ERRORS_ONLY = 3
"""Level of the log of ONNX Runtime that leaves out warnings."""


class ModelError(FileError):
    """A file that is not a model of ``python -m bundle export``, or one of another version."""


class OnnxModel:
    """An exported model.

    Args:
        path: ONNX file, written by ``python -m bundle export``.
        threads: threads of ONNX Runtime; None for one per core.

    Attributes:
        path: the file.
        about: content of its metadata.

    Raises:
        ModelError: if the file cannot be used.
    """

    def __init__(self, path: str | Path, *, threads: int | None = None) -> None:
        self.path, self.threads = Path(path), threads
        if not self.path.is_file():
            raise ModelError(path, "does not exist", "name the model.onnx of an export")
        self.session = self._open(str(path))
        metadata = self.session.get_modelmeta().custom_metadata_map
        if METADATA not in metadata:
            raise ModelError(path, "is not a model of this project", "write one with python -m bundle export")
        self.about: dict[str, Any] = json.loads(metadata[METADATA])
        if "preprocessing" not in self.about:
            version = self.about.get("version")
            raise ModelError(path, f"was written by version {version}, without its preprocessing", "export it again")

    def run(self, outputs: Sequence[str], inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """Return outputs of the graph."""
        return list(self.session.run(list(outputs), dict(inputs)))

    def find(self, image: np.ndarray) -> np.ndarray:
        """Return the probabilities ``(1, K, D, H, W)`` of the graph that finds regions on a coarse grid."""
        graph = self.session.get_modelmeta().custom_metadata_map[FINDER]
        finder = self._open(base64.b64decode(graph))
        return np.asarray(finder.run(["probabilities"], {"image": image})[0])

    def _open(self, model: str | bytes) -> onnxruntime.InferenceSession:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = ERRORS_ONLY
        options.enable_cpu_mem_arena = False
        options.intra_op_num_threads = self.threads or 0
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise ModelError(self.path, f"cannot be read as ONNX ({error})", "copy or export it again") from error
