"""A network in int8 for CPUs: quantization after training by NNCF, calibrated on the windows of images."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser

from bundle import ROOT
from bundle.inference import collate_cases
from bundle.inference.int8_network import Int8Network, int8_path, read_int8, without_telemetry, write_int8
from bundle.utils.digests import sha256_of_file
from bundle.utils.mistakes import describe_mistake
from bundle.utils.versions import versions

from .onnx_file import quiet
from .open_workflow import ExportError, open_workflow

logger = logging.getLogger(__name__)

WINDOWS_PER_IMAGE = 8
"""Most windows of an image by which the network is calibrated or checked."""

CHECKED_EVERY = 5
"""Every fifth image serves the check, the others the calibration."""

AGREEMENT = 0.999
"""Smallest share of the voxels of a checked image with the label of float32."""

OPTIONS = {"device": "cpu", "plan": "fp32", "plausible_distance": None}
"""Options of the inference by which windows are collected; a config without one of them ignores it."""


def quantize(model: str, inputs: Sequence[str | Path], *, root: str | Path = ROOT) -> dict[str, Any]:
    """Write the network in int8 of a model next to its weights, for :class:`bundle.inference.PlannedInferer`.

    The windows are those that the network gets in the inference of the images: of crops, and of the regions that are
    found in larger images. Four fifths of the images serve the calibration, and the others the check of the labels.

    Args:
        model: ``"volumes"``, the name of a folder in ``configs/``, or a folder that a training has written.
        inputs: images, or folders of images, as ``input`` of the inference.
        root: bundle root.

    Returns:
        The description in the file, see :class:`bundle.inference.int8_network.Int8File`.

    Raises:
        ExportError: if there are fewer than two images, the windows have several sizes, or too few labels of a checked
            image are those of float32; nothing is written then.
        ModelFolderError: if the model folder cannot be used.
        ModuleNotFoundError: without the extra ``openvino``.
    """
    with without_telemetry():
        import nncf
        import openvino
    _, parser = open_workflow(model, root, OPTIONS)
    network = parser.get_parsed_content("network").eval()
    images = collect_windows(parser, network, inputs)
    checked = images[CHECKED_EVERY - 1 :: CHECKED_EVERY] or images[-1:]
    used = [windows for windows in images if not any(windows is other for other in checked)]
    windows = [window[None].numpy() for image in used for window in image]
    logger.info("calibrating by %d windows of %d images", len(windows), len(used))
    with quiet(), torch.no_grad():
        shape = tuple(windows[0].shape)
        graph = openvino.convert_model(network, example_input=torch.as_tensor(windows[0]), input=[shape])
        exact = nncf.IgnoredScope(names=_exact_layers(graph))
        quantized = nncf.quantize(graph, nncf.Dataset(windows), subset_size=len(windows), ignored_scope=exact)
    checkpoint = Path(str(parser.get_parsed_content("checkpoint")))
    about: dict[str, Any] = {
        "weights": sha256_of_file(checkpoint),
        "window": list(shape[1:]),
        "calibration": {"images": len(used), "windows": len(windows)},
        "versions": {**versions(), "openvino": openvino.__version__, "nncf": nncf.__version__},
    }
    with tempfile.TemporaryDirectory() as name:
        trial, files = Path(name, "int8.zip"), (Path(name, "model.xml"), Path(name, "model.bin"))
        openvino.serialize(quantized, *map(str, files))
        content = [file.read_bytes() for file in files]
        write_int8(trial, about, *content)
        shares = [agreement(Int8Network(read_int8(trial)), network, image) for image in checked]
    about["check"] = {"images": len(checked), "worst_agreement": round(min(shares), 6)}
    if min(shares) < AGREEMENT:
        raise ExportError(
            f"{model}: only {min(shares):.3%} of the labels of a checked image are those of float32, and at least "
            f"{AGREEMENT:.1%} are needed; add images to calibrate by. Nothing was written."
        )
    write_int8(int8_path(checkpoint), about, *content)
    return about


def collect_windows(parser: ConfigParser, network: torch.nn.Module, inputs: Sequence[str | Path]) -> list[torch.Tensor]:
    """Return the windows ``(N, C, ...)`` of every image that a network gets in the inference of images.

    At most :data:`WINDOWS_PER_IMAGE` evenly spread ones of an image are returned. Images that cannot be read, or in
    which nothing is found, are logged and left out.

    Args:
        parser: config of the inference.
        network: its network.
        inputs: images, or folders of images.

    Raises:
        ExportError: if there are fewer than two images, or the windows have several sizes.
    """
    preprocessing, inferer = parser.get_parsed_content("preprocessing"), parser.get_parsed_content("inferer")
    found: list[torch.Tensor] = []
    for case in _cases(parser, inputs):
        seen: list[torch.Tensor] = []
        handle = network.register_forward_pre_hook(lambda _, given, seen=seen: seen.extend(given[0].detach().clone()))
        try:
            with torch.no_grad():
                inferer(collate_cases([preprocessing(case)])["image"], network)
        except Exception as error:
            message = describe_mistake(error)
            if message is None:
                raise
            logger.warning("left out: %s", message)
            continue
        finally:
            handle.remove()
        step = max(len(seen) / WINDOWS_PER_IMAGE, 1)
        found.append(torch.stack([seen[int(number * step)] for number in range(int(len(seen) / step))]))
    if len(found) < 2:
        raise ExportError(f"at least 2 images are needed, one of them for the check, got {len(found)}.")
    sizes = {tuple(windows.shape[1:]) for windows in found}
    if len(sizes) > 1:
        several = ", ".join(str(list(size)) for size in sorted(sizes)[:3])
        raise ExportError(f"the windows have several sizes ({several}), and a network in int8 takes one size only.")
    return found


def agreement(run: Callable[[torch.Tensor], Any], network: torch.nn.Module, windows: torch.Tensor) -> float:
    """Return the share of the labels of windows ``(N, C, ...)`` that are those of a network in float32."""
    with torch.no_grad():
        pairs = [(_labels(run(window[None])), _labels(network(window[None]))) for window in windows]
    return float(torch.stack([(found == wanted).double().mean() for found, wanted in pairs]).mean())


def _labels(scores: torch.Tensor) -> torch.Tensor:
    return scores.argmax(1) if scores.shape[1] > 1 else scores[:, 0] > 0


def _exact_layers(graph: Any) -> list[str]:
    """Return the first and the last convolution, which stay in float32: in int8 they change most of the labels."""
    names = [layer.get_friendly_name() for layer in graph.get_ordered_ops() if "Convolution" in layer.get_type_name()]
    return list(dict.fromkeys([*names[:1], *names[-1:]]))


def _cases(parser: ConfigParser, inputs: Sequence[str | Path]) -> list[dict[str, Any]]:
    cases: list[dict[str, Any]] = []
    for path in inputs:
        parser["input"] = str(path)
        parser.parse(reset=True)
        cases += parser.get_parsed_content("dataset#data")
    return cases
