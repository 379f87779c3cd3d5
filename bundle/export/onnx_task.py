"""What is exported of a task: the network with its preprocessing and postprocessing, and how to compare it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor
from torch import nn

from bundle import ROOT
from bundle.inference import SlabInferer
from bundle.inference.feature_distance import LEVEL
from bundle.inference.plausibility import IMAGE, read_reference_content
from bundle.runtime.model_format import VOLUMES
from bundle.transforms.standardize import Statistics
from bundle.utils.label_names import structures_of

from .deployed_networks import (
    STATISTICS,
    DeployedClasses,
    DeployedDiscs,
    DeployedFinder,
    DeployedMasks,
    DeployedVolumes,
)
from .open_workflow import ExportError, open_workflow

Arrays = dict[str, np.ndarray]

NORMALIZING = ("StandardizeIntensityd", "NormalizeContentd", "NormalizeIntensityd", "SagittalSlabsd", "ResizeImaged")
"""Steps of the preprocessing that are in the exported graph."""


NORMALIZATION = {"percentiles": None, "exclude_border": True, "tolerance": 0.0}
"""Options of these steps that a user of the graph must know, with their defaults."""


HIGHEST = 255
"""Highest value of the labels of a graph and of the runtime, which are uint8."""


@dataclass(frozen=True)
class OnnxTask:
    """What is exported of a task.

    Attributes:
        name: name of the task.
        module: the network with preprocessing and postprocessing.
        inputs: names of the inputs; ``"image"`` is the first.
        outputs: names of the outputs.
        compared: outputs whose values are compared: label maps, decisions or maps.
        dynamic: axes of every input that may have any size.
        example: inputs to trace the module with, of sizes at which nothing is special.
        metadata: what a user of the graph must know.
        defaults: values of inputs that may be omitted.
        finder: finds the regions of a larger image; None for none.
        load: reads a file and returns the inputs.
        reference: reads a file and returns the outputs of the workflow, for comparison.
    """

    name: str
    module: nn.Module
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    compared: str
    dynamic: tuple[tuple[int, ...], ...]
    example: tuple[torch.Tensor, ...]
    metadata: dict[str, Any]
    load: Callable[[str], Arrays]
    reference: Callable[[str], np.ndarray]
    defaults: Arrays = field(default_factory=dict)
    finder: nn.Module | None = None

    def run(self, session: Any, inputs: Arrays) -> np.ndarray:
        """Return the compared output of a session; of a volume that is larger than the window, window by window."""
        window = self.metadata.get("window", inputs["image"].shape[2:])
        sizes = [min(pair) for pair in zip(window, inputs["image"].shape[2:], strict=True)]
        if sizes == list(inputs["image"].shape[2:]):
            return np.asarray(session.run([self.compared], inputs)[0])

        def scores(windows: torch.Tensor) -> torch.Tensor:
            return torch.as_tensor(session.run(["scores"], {**inputs, "image": windows.numpy()})[0])

        inferer = SlabInferer(sizes, overlap=self.metadata["overlap"], output="labels")
        return np.asarray(inferer(torch.as_tensor(inputs["image"]), scores))


def open_task(model: str, root: str | Path = ROOT) -> OnnxTask:
    """Return what is exported of a shipped model or of a model folder.

    Args:
        model: ``"volumes"``, the name of a folder in ``configs/``, or a folder that a training has written.
        root: bundle root.

    Raises:
        ExportError: if there is no such model, or it cannot be exported.
        ModelFolderError: if the folder cannot be used.
    """
    name, parser = open_workflow(model, root, {"device": "cpu", **OFF})
    network = parser.get_parsed_content("network").eval()
    return BUILDERS[name](name, parser, network)


OFF = {"find_regions": False, "measure_features": False, "plan": "fp32"}
"""Options of the inference that do not concern the network; a config without them ignores them."""


def _volumes(name: str, parser: ConfigParser, network: nn.Module) -> OnnxTask:
    if "regions" in parser.get() and parser["regions"]:
        raise ExportError("nested regions cannot be exported; export a model of exclusive classes.")
    normalization = _normalization(parser, "normalization", "StandardizeIntensityd")
    roi, names = list(parser.get_parsed_content("roi_size")), parser.get_parsed_content("label_names")
    finder, about_finder = _finder(parser)
    _check_labels(parser, (about_finder or {}).get("offsets", {}))
    module = DeployedVolumes(network, roi_size=roi, percentiles=normalization.get("percentiles"))
    channels = int(parser.get_parsed_content("network_def#in_channels"))
    example = torch.randn(2, channels, *(size + 16 for size in roi))
    unknown = torch.full((1, STATISTICS), float("nan"), dtype=torch.float64)

    def reference(file: str) -> np.ndarray:
        data = parser.get_parsed_content("preprocessing")({"image": file})
        inferer = parser.get_parsed_content("inferer").inferer.inferer
        inferer.assembler, inferer.output = None, "labels"
        with torch.no_grad():
            return np.asarray(inferer(torch.as_tensor(data["image"])[None], network))

    steps = [*parser["preprocessing"]["transforms"][:-1], *parser["crop_preprocessing"]["transforms"]]
    load, normalize = _loader(parser, steps), parser.get_parsed_content("normalization")

    def with_statistics(file: str) -> Arrays:
        image = load(file)["image"]
        return {"image": image, "statistics": _row(normalize.statistics(torch.as_tensor(image[0])), image)}

    return OnnxTask(
        name,
        module,
        ("image", "statistics"),
        ("scores", "probabilities", "labels", "used_statistics"),
        "labels",
        ((0, 2, 3, 4), ()),
        (example, unknown),
        {
            "axes": "batch, channel, R, A, S",
            "label_names": {"background": 0, **structures_of(names)},
            "channels": parser.get_parsed_content("modalities") or ["image"],
            "spacing_mm": list(parser.get_parsed_content("pixdim")),
            "spacing_range_mm": list(parser.get_parsed_content("spacing_range")),
            "orientation": "RAS",
            "window": roi,
            "overlap": parser.get_parsed_content("overlap"),
            **_about(parser, "plausible_distance", "largest_crop_mm"),
            "finder": about_finder,
        },
        with_statistics,
        reference,
        {"statistics": unknown.numpy()},
        finder,
    )


def _finder(parser: ConfigParser) -> tuple[nn.Module | None, dict[str, Any] | None]:
    """Return the network that finds regions, and what the runtime must know of it; None for weights that need none."""
    parser["find_regions"] = "auto"
    parser.parse(reset=True)
    found = parser.get_parsed_content("finder")
    parser["find_regions"] = False
    parser.parse(reset=True)
    if not found.enabled:
        return None, None
    resampling, normalization = parser["finder"]["preprocessing"]["transforms"]
    return DeployedFinder(found.network).eval(), {
        "regions": found.regions,
        "spacing_mm": resampling["pixdim"],
        "antialias": resampling.get("antialias", False),
        **{name: normalization.get(name, NORMALIZATION[name]) for name in ("percentiles", "exclude_border")},
        "size_mm": found.size_mm,
        "divisor": found.divisor,
        "min_volume_mm3": found.min_volume_mm3,
        "offsets": parser.get_parsed_content("region_offsets"),
    }


def _check_labels(parser: ConfigParser, offsets: Mapping[str, int]) -> None:
    """Check that the labels of all classes, and those of regions with their summands, fit into :data:`HIGHEST`."""
    highest = int(parser.get_parsed_content("network_def#out_channels")) - 1 + max(offsets.values(), default=0)
    if highest > HIGHEST:
        summands = " with the summands of region_offsets" if offsets else ""
        raise ExportError(
            f"the classes{summands} have labels up to {highest}, and those of an exported model are at most {HIGHEST}; "
            "use the workflow for this model."
        )


def _discs(name: str, parser: ConfigParser, network: nn.Module) -> OnnxTask:
    steps = parser["preprocessing"]["transforms"]
    module = DeployedDiscs(network, percentiles=steps[-2]["percentiles"])
    slabs = parser.get_parsed_content(f"preprocessing::transforms::{len(steps) - 1}")
    parser["_volume"] = {"_target_": "Compose", "transforms": steps[:-1]}
    load = _loader(parser, steps)

    normalize = parser.get_parsed_content(f"preprocessing::transforms::{len(steps) - 2}")
    unknown = torch.full((1, STATISTICS), float("nan"), dtype=torch.float64)

    def with_weights(file: str) -> Arrays:
        standardized, image = parser.get_parsed_content("_volume")({"image": file})["image"], load(file)["image"]
        statistics = _row(normalize.statistics(torch.as_tensor(image[0])), image)
        return {"image": image, "weights": slabs.weights(standardized).astype(np.float32), "statistics": statistics}

    def reference(file: str) -> np.ndarray:
        data = parser.get_parsed_content("preprocessing")({"image": file})
        with torch.no_grad():
            return np.asarray(parser.get_parsed_content("inferer").inferer(data["image"][None], network))[0]

    first, count = (int(parser.get_parsed_content(key)) for key in ("first_level", "level_count"))
    return OnnxTask(
        name,
        module,
        ("image", "weights", "statistics"),
        ("maps", "peaks"),
        "maps",
        ((2, 3, 4), (0, 1), ()),
        (torch.randn(1, 1, 9, 160, 128), torch.full((5, 9), 1 / 9), unknown),
        {
            "axes": "1, channel, R, A, S",
            "levels": list(range(first, first + count)),
            "spacing_mm": list(parser.get_parsed_content("pixdim")),
            "orientation": "RAS",
            "stride": 4,
            "spacing_range_mm": list(parser.get_parsed_content("spacing_range")),
            "slab_mm": parser.get_parsed_content("slab_mm"),
            "slab_offsets_mm": list(parser.get_parsed_content("slab_offsets_mm")),
            "vertebrae": {name: parser.get_parsed_content(f"{name}_vertebrae") for name in ("thoracic", "lumbar")},
            "skeleton": json.loads(Path(parser.get_parsed_content("skeleton_file")).read_text(encoding="utf-8")),
            **_about(parser, step=steps[-2]),
        },
        with_weights,
        reference,
        {"statistics": unknown.numpy()},
    )


def _masks(name: str, parser: ConfigParser, network: nn.Module) -> OnnxTask:
    roi, softmax = list(parser.get_parsed_content("roi_size")), bool(parser["activation"].get("softmax", False))
    threshold = float(parser.get_parsed_content("threshold"))
    inferer = parser.get_parsed_content("inferer").inferer.inferer
    is_known = parser.get_parsed_content("plausibility").is_known(IMAGE)
    module = DeployedMasks(
        network,
        roi_size=roi,
        threshold=threshold,
        softmax=softmax,
        mirrorings=inferer.mirrorings,
        feature_level=LEVEL if is_known else None,
    )
    names = structures_of(parser.get_parsed_content("label_names"))
    steps = parser["preprocessing"]["transforms"]
    load, normalize = _loader(parser, steps), parser.get_parsed_content(f"preprocessing::transforms::{len(steps) - 1}")
    unknown = torch.full((1, 2, 3), float("nan"))

    def with_statistics(file: str) -> Arrays:
        image = load(file)["image"]
        used = np.array([normalize.statistics(torch.as_tensor(image[0]))], dtype=np.float32)
        return {"image": image, "statistics": used}

    def reference(file: str) -> np.ndarray:
        data = parser.get_parsed_content("preprocessing")({"image": file})
        with torch.no_grad():
            scores = inferer(torch.as_tensor(data["image"])[None], network)
        found = scores.argmax(1, keepdim=True) if softmax else scores.sigmoid() > threshold
        return np.asarray(found.to(torch.uint8))

    return OnnxTask(
        name,
        module,
        ("image", "statistics"),
        ("probabilities", "labels", *(["image_features"] if is_known else [])),
        "labels",
        ((0, 2, 3), ()),
        (torch.rand(2, 3, roi[0] + 40, roi[1] + 24), unknown),
        {
            "axes": "batch, RGB from 0 to 1, row, column",
            "label_names": {"background": 0, **names},
            "levels": list(parser.get_parsed_content("levels")),
            "threshold": threshold,
            "network_size": roi,
            **_about(parser, "region_confidence", "single_region", "plausible_distance"),
        },
        with_statistics,
        reference,
        {"statistics": unknown.numpy()},
    )


def _classes(name: str, parser: ConfigParser, network: nn.Module) -> OnnxTask:
    names = list(parser.get_parsed_content("class_names"))
    steps, inferer = parser["preprocessing"]["transforms"], parser.get_parsed_content("inferer").inferer.inferer
    size, temperature = list(parser.get_parsed_content("image_size")), parser.get_parsed_content("temperature")
    thresholds = parser.get_parsed_content("thresholds")
    limits = [float(thresholds[key] if isinstance(thresholds, Mapping) else thresholds) for key in names]
    is_known = parser.get_parsed_content("plausibility").is_known(IMAGE)
    several = list(temperature) if isinstance(temperature, Sequence) else [float(temperature)] * len(names)
    module = DeployedClasses(
        network,
        image_size=size,
        roi_size=list(inferer.roi_size),
        boxes=list(inferer.boxes(size)),
        mirror=inferer.mirror,
        normalization=next(step for step in steps if "subtrahend" in step),
        temperature=several,
        thresholds=limits,
        feature_level=LEVEL if is_known else None,
    )

    def reference(file: str) -> np.ndarray:
        data = parser.get_parsed_content("preprocessing")({"image": file})
        with torch.no_grad():
            logits = inferer(torch.as_tensor(data["image"])[None], network)
        return np.asarray((torch.sigmoid(logits / torch.tensor(several)) > torch.tensor(limits)).to(torch.uint8))

    return OnnxTask(
        name,
        module,
        ("image",),
        ("probabilities", "labels", *(["image_features"] if is_known else [])),
        "labels",
        ((0, 2, 3),),
        (torch.rand(2, 3, size[0] + 40, size[1] + 24),),
        {
            "axes": "batch, RGB from 0 to 1, row, column",
            "class_names": names,
            "thresholds": dict(zip(names, limits, strict=True)),
            "temperature": several,
            **_about(parser, "plausible_distance"),
        },
        _loader(parser, steps),
        reference,
    )


BUILDERS: dict[str, Callable[[str, ConfigParser, nn.Module], OnnxTask]] = {
    VOLUMES: _volumes,
    "disc_labeling": _discs,
    "lesion_segmentation": _masks,
    "cell_segmentation": _masks,
    "lesion_classification": _classes,
}
"""What makes an :class:`OnnxTask`, by the name of the task."""


def _row(used: Statistics, image: np.ndarray) -> np.ndarray:
    """Return the input ``statistics`` of a volume."""
    low, high = used.limits or (image.min(), image.max())
    return np.array([[low, high, used.mean, used.scale]])


def _about(parser: ConfigParser, *options: str, step: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return what :mod:`bundle.runtime` must know of a model: preprocessing, options, and its plausible results."""
    normalization = step or parser.get("normalization") or parser["preprocessing"]["transforms"][-1]
    kept = {name: normalization.get(name, value) for name, value in NORMALIZATION.items()}
    names = ("crop_border", "flag_limit", *options)
    known = read_reference_content(Path(str(parser.get_parsed_content("checkpoint"))))
    return {
        "preprocessing": {**{name: parser.get_parsed_content(name) for name in names}, **kept},
        "plausibility": known,
    }


def _loader(parser: ConfigParser, steps: Sequence[Any]) -> Callable[[str], Arrays]:
    """Return what reads a file by the steps of the preprocessing that are not in the graph."""
    outside = [step for step in steps if isinstance(step, dict) and step["_target_"].split(".")[-1] not in NORMALIZING]
    parser["_outside"] = {"_target_": "Compose", "transforms": outside}
    parser.parse(reset=True)

    def load(file: str) -> Arrays:
        image: MetaTensor = parser.get_parsed_content("_outside")({"image": file})["image"]
        return {"image": np.asarray(image.as_tensor(), dtype=np.float32)[None]}

    return load


def _normalization(parser: ConfigParser, name: str, kind: str) -> dict[str, Any]:
    found = parser[name]
    if not str(found.get("_target_")).endswith(kind):
        raise ExportError(f"{name} is {found.get('_target_')}, and only {kind} can be exported.")
    return dict(found)
