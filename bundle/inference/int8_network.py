"""A network in int8 for CPUs: its file next to the weights, and running it by OpenVINO."""

from __future__ import annotations

import io
import json
import logging
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from bundle.utils.atomic_write import atomic_write
from bundle.utils.digests import sha256_of_file
from bundle.utils.errors import FileError

logger = logging.getLogger(__name__)

ENDING = "_int8.zip"
"""End of the name of the file next to the weights: ``model.pt`` has ``model_int8.zip``."""

EXTRA = "openvino"
"""The extra of the package, and the module that it installs."""

ABOUT, GRAPH, CONSTANTS = "about.json", "model.xml", "model.bin"
"""Members of the file: what it is, and the model in the format of OpenVINO."""


@dataclass(frozen=True)
class Int8File:
    """The content of the file of a network in int8.

    Attributes:
        path: the file.
        about: SHA-256 of the ``weights``, the ``window`` ``[C, ...]`` in voxels, how the network was calibrated, the
            agreement with float32, and versions.
        digest: SHA-256 of the file.
    """

    path: Path
    about: dict[str, Any]
    digest: str

    @property
    def window(self) -> list[int]:
        """The shape ``[C, ...]`` of the only windows that the network takes."""
        return list(self.about["window"])


class Int8Network:
    """A network in int8 that OpenVINO runs, for windows of one size.

    Every array is shared with OpenVINO: a request that has shared one array and then copies another writes the copy
    into the first (2026.4.1).

    Args:
        file: the file of the network.
        threads: threads of OpenVINO; None for its default.

    Raises:
        FileError: when the file is damaged.
    """

    def __init__(self, file: Int8File, *, threads: int | None = None) -> None:
        self.file = file
        core = openvino_core()
        options: dict[str, Any] = {"NUM_STREAMS": 1} | ({} if threads is None else {"INFERENCE_NUM_THREADS": threads})
        try:
            with zipfile.ZipFile(file.path) as archive:
                graph, constants = archive.read(GRAPH), archive.read(CONSTANTS)
            model = core.read_model(io.BytesIO(graph), io.BytesIO(constants))
            self._request = core.compile_model(model, "CPU", options).create_infer_request()
        except (OSError, KeyError, zipfile.BadZipFile, RuntimeError) as error:
            raise damaged(file.path) from error

    def __call__(self, windows: torch.Tensor) -> torch.Tensor:
        """Return the scores ``(N, K, ...)`` of windows ``(N, C, ...)``, in float32.

        Raises:
            ValueError: when the windows have another size than the network was made for.
        """
        if list(windows.shape[1:]) != self.file.window:
            raise ValueError(
                f"{self.file.path} is for windows of the shape {self.file.window}, got {list(windows.shape[1:])}; use "
                "another plan than int8, or write the file again by python -m bundle quantize."
            )
        images = windows.detach().to(torch.float32).contiguous().numpy()
        return torch.stack([self._scores(image[None]) for image in images])

    def _scores(self, image: Any) -> torch.Tensor:
        return torch.from_numpy(self._request.infer({0: image}, share_inputs=True)[0][0])


def int8_path(checkpoint: str | Path) -> Path:
    """Return the file of the network in int8 of a checkpoint."""
    return Path(checkpoint).with_name(Path(checkpoint).stem + ENDING)


def find_int8(checkpoint: str | Path | None) -> Int8File | None:
    """Return the file of the network in int8 of a checkpoint, if this machine can use it.

    Returns:
        None without such a file or without OpenVINO, and where the file is damaged or belongs to other weights, which
        is logged.
    """
    if not checkpoint:
        return None
    path = int8_path(checkpoint)
    if not path.is_file() or not Path(checkpoint).is_file():
        return None
    if find_spec(EXTRA) is None:
        logger.info("%s is not used, since OpenVINO is not installed: pip install 'keyslice[openvino]'", path)
        return None
    try:
        file = read_int8(path)
    except FileError as error:
        logger.warning("%s It is not used.", error)
        return None
    if file.about["weights"] != sha256_of_file(checkpoint):
        logger.warning("%s belongs to other weights than %s and is not used", path, checkpoint)
        return None
    return file


def read_int8(path: Path) -> Int8File:
    """Return the file of a network in int8, without its graph.

    Raises:
        FileError: when the file is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            about = json.loads(archive.read(ABOUT))
            is_complete = {GRAPH, CONSTANTS} <= set(archive.namelist())
        if not is_complete or not isinstance(about["weights"], str):
            raise ValueError("incomplete")
        return Int8File(path, {**about, "window": [int(size) for size in about["window"]]}, sha256_of_file(path))
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise damaged(path) from error


def write_int8(path: Path, about: dict[str, Any], graph: bytes, constants: bytes) -> None:
    """Write the file of a network in int8, atomically.

    Args:
        path: the file.
        about: see :class:`Int8File`.
        graph: the XML of OpenVINO.
        constants: its constants.
    """
    members = {ABOUT: json.dumps(about, indent=2).encode(), GRAPH: graph, CONSTANTS: constants}
    with atomic_write(path) as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)


def damaged(path: Path) -> FileError:
    """Return the error about a damaged file."""
    return FileError(path, "is damaged", "write it again by python -m bundle quantize, or remove it")


@cache
def openvino_core() -> Any:
    """Return the runtime of OpenVINO, the only one of this process, which is never released.

    When its CPU plugin (2026.4.1) is released by another thread than the one that compiled the first network, the
    alternate signal stack of that thread is unmapped but stays set, and the next signal, such as Ctrl+C, is a
    segmentation fault.
    """
    with without_telemetry():
        import openvino
    return openvino.Core()


@contextmanager
def without_telemetry() -> Iterator[None]:
    """Import OpenVINO and NNCF inside it, so that they report nothing to their makers: the module for it is hidden."""
    name = "openvino_telemetry"
    before = sys.modules.get(name)
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if before is None:
            del sys.modules[name]
        else:
            sys.modules[name] = before
