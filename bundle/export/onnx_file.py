"""Export of a model to ONNX, with preprocessing and postprocessing inside, a test vector and a parity report."""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bundle import __version__
from bundle.runtime.model_format import FINDER, METADATA
from bundle.utils.digests import sha256_of_file
from bundle.utils.versions import versions
from bundle.utils.write_json import write_json

from .onnx_task import Arrays, ExportError, OnnxTask, open_task

logger = logging.getLogger(__name__)

MODEL, TEST, REPORT = "model.onnx", "test_vector.npz", "report.json"
"""Files of an export: the graph, inputs with the answers of PyTorch, and the comparison."""

COARSE = (1, 1, 64, 80, 48)
"""Size at which the graph that finds regions is traced; multiples of 16, and no two the same."""

TOLERANCE = 1e-3
"""Largest difference of the answers to the test vector."""


def export_onnx(model: str, output: str | Path, *, cases: Sequence[str | Path] = ()) -> dict[str, Any]:
    """Write a model as ``model.onnx`` with ``test_vector.npz`` and ``report.json``.

    The graph takes raw values on the grid of the model, of any batch and spatial size, and returns probabilities and
    labels. Its metadata hold labels, spacing and what else a user must know, as JSON.

    Args:
        model: name of a task, or a folder that a training has written.
        output: folder to write to.
        cases: images on which the graph is compared with the workflow.

    Returns:
        The content of ``report.json``.

    Raises:
        ExportError: if the model cannot be exported, or the graph does not answer the test vector as PyTorch does.
        ModelFolderError: if the model folder cannot be used.
        ModuleNotFoundError: without the extra ``onnx``.
    """
    import onnxruntime

    task, folder = open_task(model), Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    _write_graph(task, folder / MODEL)
    session = onnxruntime.InferenceSession(str(folder / MODEL), providers=["CPUExecutionProvider"])
    difference = _write_test_vector(task, session, folder / TEST)
    report = {
        "model": model,
        "task": task.name,
        "sha256": sha256_of_file(folder / MODEL),
        "largest_difference_of_test_vector": difference,
        **compare(task, session, cases),
        "versions": {**versions(), "onnxruntime": onnxruntime.__version__},
    }
    write_json(folder / REPORT, report)
    if not difference <= TOLERANCE:
        raise ExportError(f"{folder / MODEL}: the answer to the test vector differs by {difference:.2g}.")
    return report


def compare(task: OnnxTask, session: Any, cases: Sequence[str | Path]) -> dict[str, Any]:
    """Return the agreement of a graph with the workflow on images: the share of equal labels, or of equal peaks.

    Args:
        task: the task.
        session: ONNX Runtime session of the graph.
        cases: the images.
    """
    found = {}
    for case in map(str, cases):
        answer = task.run(session, task.load(case))
        found[case] = round(_agreement(answer, task.reference(case)), 6)
        logger.info("%s: %.4f of the %s are equal", case, found[case], task.compared)
    worst = min(found, key=lambda name: found[name]) if found else None
    mean = float(np.mean(list(found.values()))) if found else None
    return {"compared": task.compared, "cases": found, "mean": mean, "worst": worst and {worst: found[worst]}}


def _agreement(found: np.ndarray, wanted: np.ndarray) -> float:
    """Return the share of equal labels; of maps, of the cells that are equal within a thousandth of their maximum."""
    if np.issubdtype(wanted.dtype, np.floating):
        return float((np.abs(found - wanted) <= 1e-3 * np.abs(wanted).max()).mean())
    return float((found == wanted).mean())


def _write_graph(task: OnnxTask, path: Path) -> None:
    import onnx

    shapes = tuple(dict.fromkeys(axes, torch.export.Dim.DYNAMIC) for axes in task.dynamic)
    proto = _exported(task.module, task.example, shapes, inputs=task.inputs, outputs=task.outputs)
    for name, values in task.defaults.items():
        proto.graph.initializer.append(onnx.numpy_helper.from_array(values, name))
    metadata = {"task": task.name, "version": __version__, **task.metadata, "inputs": list(task.inputs)}
    properties = {METADATA: json.dumps(metadata)}
    if task.finder is not None:
        size = dict.fromkeys((2, 3, 4), torch.export.Dim.DYNAMIC)
        finder = _exported(task.finder, (torch.randn(COARSE),), (size,), inputs=["image"], outputs=["probabilities"])
        properties[FINDER] = base64.b64encode(finder.SerializeToString()).decode()
    onnx.helper.set_model_props(proto, properties)
    proto.producer_name, proto.producer_version = "keyslice", __version__
    proto.graph.doc_string = f"{task.name}: {task.metadata['axes']}"
    onnx.checker.check_model(proto)
    onnx.save(proto, str(path))


def _exported(
    module: torch.nn.Module,
    example: tuple[torch.Tensor, ...],
    shapes: tuple[Any, ...],
    *,
    inputs: Sequence[str],
    outputs: Sequence[str],
) -> Any:
    with quiet():
        program = torch.onnx.export(
            module,
            example,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_shapes=shapes,
            dynamo=True,
            verbose=False,
        )
    assert program is not None  # noqa: S101 - by its type, for exports to a file
    return program.model_proto


def _write_test_vector(task: OnnxTask, session: Any, path: Path) -> float:
    """Write inputs and the answers of PyTorch; return the largest difference of the floating answers of the graph."""
    generator = torch.Generator().manual_seed(0)
    first = 100 * torch.rand(task.example[0].shape, generator=generator) if task.name == "volumes" else task.example[0]
    inputs = dict(zip(task.inputs, (first, *task.example[1:]), strict=True))
    with torch.no_grad():
        wanted = dict(zip(task.outputs, task.module(*inputs.values()), strict=True))
    arrays: Arrays = {name: value.numpy() for name, value in inputs.items()}
    found = dict(zip(task.outputs, session.run(list(task.outputs), arrays), strict=True))
    answers = {name: value.numpy() for name, value in wanted.items()}
    content: dict[str, Any] = {**arrays, **{f"answer_{name}": value for name, value in answers.items()}}
    np.savez_compressed(path, **content)
    floating = [name for name, value in answers.items() if np.issubdtype(value.dtype, np.floating)]
    names = [name for name in floating if name not in ("scores", "peaks")]
    return float(max(np.abs(found[name] - answers[name]).max() for name in names))


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence exporters, which print their progress."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    with warnings.catch_warnings(), open(os.devnull, "w", encoding="utf-8") as nowhere:
        warnings.simplefilter("ignore")
        with contextlib.redirect_stdout(nowhere):
            try:
                yield
            finally:
                logging.disable(level)
