"""Inference of one image by a task's ``inference.json``; the network is cached between images."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser

from bundle.io.input_checks import BadInputError

from .label_tasks import LabelTask
from .panel_options import get_overrides
from .server_errors import RequestError

logger = logging.getLogger(__name__)

INFERENCE_THREAD = ThreadPoolExecutor(1, thread_name_prefix="inference")
"""The thread that runs all inference, one image at a time, so that many clients need no more memory than one. It is a
single thread because the libraries below PyTorch keep buffers for every thread that computes."""

SKIPPED_FILES = {"figure": False, "objects": False, "overlay": False, "probability": False}
"""Options of the configs for files that are not sent to clients; they are switched off."""


@dataclass(frozen=True)
class CaseResult:
    """The result of the inference of one image.

    Attributes:
        record: the record of the case, the content of its JSON file.
        file: label map or mask; None if the task writes none.
        folder: folder of all files of the result.
    """

    record: dict[str, Any]
    file: Path | None
    folder: Path


class BundleRun:
    """Run a task on images, one at a time.

    It runs the task's ``inference.json`` with input, output and weights set, without the parts for runs over many
    cases: progress, summary and resuming. The result is the one that ``monai.bundle run`` writes.

    Args:
        task: the task; changed ``served_weights`` are loaded before the next image.
    """

    def __init__(self, task: LabelTask) -> None:
        self.task = task
        self._networks: dict[str, tuple[Any, torch.nn.Module]] = {}

    def __call__(
        self,
        image: str | Path,
        output_dir: str | Path,
        options: Mapping[str, Any] | None = None,
        *,
        device: str = "cpu",
        overrides: Mapping[str, Any] | None = None,
    ) -> CaseResult:
        """Run the inference on one image.

        Args:
            image: a file, or a folder with a DICOM series.
            output_dir: folder to write to.
            options: options of the panel, see :func:`.panel_options.get_panel_options`.
            device: device of PyTorch.
            overrides: further overrides by config id.

        Raises:
            RequestError: 400 for an invalid option or image; 500 if the inference fails otherwise.
        """
        merged = {**get_overrides(self.task, options or {}), **(overrides or {})}
        return INFERENCE_THREAD.submit(self._run_case, Path(image), Path(output_dir), device, merged).result()

    def network(self, device: str = "cpu") -> torch.nn.Module:
        """Return the network with the served weights, in evaluation mode."""
        path = self.task.served_weights
        stamp = (str(path), path.stat().st_mtime_ns)
        cached = self._networks.get(device)
        if cached is not None and cached[0] == stamp:
            return cached[1]
        network = load_network(self.task, path, device)
        self._networks[device] = (stamp, network)
        logger.info("%s: loaded the weights %s", self.task.name, path)
        return network

    def _run_case(self, image: Path, output_dir: Path, device: str, overrides: Mapping[str, Any]) -> CaseResult:
        evaluator = self._build_evaluator(image, output_dir, device, overrides)
        evaluator.run()
        return self._collect_result(evaluator, image, output_dir)

    def _build_evaluator(self, image: Path, output_dir: Path, device: str, overrides: Mapping[str, Any]) -> Any:
        config = self.task.config
        parser = ConfigParser(deepcopy(config))
        single_case = {"evaluator#val_handlers": None, "dataset#completed": None, "writer": None, "num_workers": 0}
        fixed = {
            name: value for name, value in {**single_case, **SKIPPED_FILES}.items() if name.split("#")[0] in config
        }
        files = {"input": str(image), "output_dir": str(output_dir), **self.task.weight_options}
        parser.update({**fixed, **files, "device": device, "network": self.network(device), **overrides})
        with _raise_original_error():
            cases = len(parser.get_parsed_content("dataset"))
            if cases != 1:
                raise RequestError(400, f"{image.name}: contains {cases} images; send one at a time.")
            return parser.get_parsed_content("evaluator")

    def _collect_result(self, evaluator: Any, image: Path, folder: Path) -> CaseResult:
        if evaluator.failures:
            failure = evaluator.failures[0]
            message = failure.message.replace(f"{image.parent}/", "")
            if failure.error in _class_names(BadInputError):
                raise RequestError(400, message)
            raise RequestError(500, f"{failure.error}: {message}")
        record = evaluator.records[0].to_json()
        files = [folder / name for name in record.get("files", ())]
        labels = [file for file in files if file.name.endswith((".nii.gz", ".nrrd", ".mha", ".png"))]
        return CaseResult(record, labels[0] if labels else None, folder)


def _class_names(kind: type[Exception]) -> set[str]:
    """Return the names of an error class and of all its subclasses."""
    subclasses: list[type[Exception]] = kind.__subclasses__()
    return {kind.__name__}.union(*map(_class_names, subclasses))


def load_network(task: LabelTask, weights: str | Path, device: str = "cpu") -> torch.nn.Module:
    """Return the network of a task with weights from a file, in evaluation mode.

    Raises:
        WeightsError: if the file does not fit the network.
    """
    parser = ConfigParser(deepcopy(task.config))
    parser.update({"checkpoint": str(weights), "device": device})
    with _raise_original_error():
        network: torch.nn.Module = parser.get_parsed_content("network")
    return network.eval()


@contextmanager
def _raise_original_error() -> Iterator[None]:
    """Raise the error of a component, not MONAI's that the component cannot be created."""
    try:
        yield
    except RuntimeError as error:
        root: BaseException = error
        while isinstance(root, RuntimeError) and root.__cause__ is not None:
            root = root.__cause__
        raise root from None
