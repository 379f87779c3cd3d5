"""A task's ``inference.json`` run on one image, as ``monai.bundle run`` does it, with the network kept between runs."""

from __future__ import annotations

import logging
import threading
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
from .panel_options import overrides_of
from .server_errors import RequestError

logger = logging.getLogger(__name__)

WORKER = ThreadPoolExecutor(1, thread_name_prefix="inference")
"""Where all inference runs, one image at a time, so that many clients need no more memory than one. It is one thread,
as the libraries below PyTorch keep buffers for every thread that computes."""

ONE_AT_A_TIME = threading.Lock()
"""Held by whatever computes with a network, in :data:`WORKER` or elsewhere."""

QUIET = {"picture": False, "overlay": False, "probability": False}
"""Files that a client does not get; they are not made, where a task has a switch for them."""


@dataclass(frozen=True)
class CaseResult:
    """What the inference of one image gave.

    Attributes:
        record: what the task knows of the case, the content of its JSON.
        file: label map or mask; None where the task makes none.
        folder: where all files of the result lie.
    """

    record: dict[str, Any]
    file: Path | None
    folder: Path


class BundleRun:
    """Run a task on images, one at a time.

    The config is that of the task, with input, output and weights set, and without what belongs to a run over many
    cases: progress, summary, the look at earlier results. The result is the one that ``monai.bundle run`` writes.

    Args:
        task: the task; its ``served`` weights are looked at anew for every image.
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
        """Segment, label or classify one image.

        Args:
            image: a file, or a folder with a DICOM series.
            output_dir: folder to write to.
            options: of the panel, see :func:`bundle.server.panel_options.panel_of`.
            device: device of PyTorch.
            overrides: further changes of the config by id.

        Raises:
            RequestError: 400 for an option or an image that cannot be used; 500 when the inference fails otherwise.
        """
        changes = {**overrides_of(self.task, options or {}), **(overrides or {})}
        return WORKER.submit(self._case, Path(image), Path(output_dir), device, changes).result()

    def network(self, device: str = "cpu") -> torch.nn.Module:
        """Return the network with the weights that are served now, in evaluation mode."""
        path = self.task.served
        stamp = (str(path), path.stat().st_mtime_ns)
        kept = self._networks.get(device)
        if kept is not None and kept[0] == stamp:
            return kept[1]
        network = load_network(self.task, path, device)
        self._networks[device] = (stamp, network)
        logger.info("%s: weights %s", self.task.name, path)
        return network

    def _case(self, image: Path, output_dir: Path, device: str, changes: Mapping[str, Any]) -> CaseResult:
        with ONE_AT_A_TIME:
            evaluator = self._evaluator(image, output_dir, device, changes)
            evaluator.run()
            return self._result(evaluator, image, output_dir)

    def _evaluator(self, image: Path, output_dir: Path, device: str, changes: Mapping[str, Any]) -> Any:
        config = self.task.config
        parser = ConfigParser(deepcopy(config))
        alone = {"evaluator#val_handlers": None, "dataset#done": None, "writer": None, "num_workers": 0}
        quiet = {name: value for name, value in {**alone, **QUIET}.items() if name.split("#")[0] in config}
        files = {"input": str(image), "output_dir": str(output_dir), "checkpoint": str(self.task.served)}
        parser.update({**quiet, **files, "device": device, "network": self.network(device), **changes})
        with _own_errors():
            cases = len(parser.get_parsed_content("dataset"))
            if cases != 1:
                raise RequestError(400, f"{image.name}: holds {cases} images; send one at a time.")
            return parser.get_parsed_content("evaluator")

    def _result(self, evaluator: Any, image: Path, folder: Path) -> CaseResult:
        if evaluator.failures:
            failure = evaluator.failures[0]
            status = 400 if failure["error"] in _names(BadInputError) else 500
            message = failure["message"].replace(f"{image.parent}/", "")
            raise RequestError(status, f"{failure['error']}: {message}")
        record = evaluator.state.output[0]["result"]
        files = [folder / name for name in record.get("files", ())]
        labels = [file for file in files if file.name.endswith((".nii.gz", ".nrrd", ".mha", ".png"))]
        return CaseResult(record, labels[0] if labels else None, folder)


def _names(kind: type[Exception]) -> set[str]:
    """Return the names of a class of errors and of all that are made from it."""
    below: list[type[Exception]] = kind.__subclasses__()
    return {kind.__name__}.union(*map(_names, below))


def load_network(task: LabelTask, weights: str | Path, device: str = "cpu") -> torch.nn.Module:
    """Return the network of a task with weights from a file, in evaluation mode.

    Raises:
        WeightsError: when the file does not fit the network.
    """
    parser = ConfigParser(deepcopy(task.config))
    parser.update({"checkpoint": str(weights), "device": device})
    with _own_errors():
        network: torch.nn.Module = parser.get_parsed_content("network")
    return network.eval()


@contextmanager
def _own_errors() -> Iterator[None]:
    """Raise what went wrong inside a component, not that MONAI could not make it."""
    try:
        yield
    except RuntimeError as error:
        root: BaseException = error
        while isinstance(root, RuntimeError) and root.__cause__ is not None:
            root = root.__cause__
        raise root from None
