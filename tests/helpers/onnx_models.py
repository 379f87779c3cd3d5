"""Small exported models, made without the exporter of PyTorch, and the same networks in PyTorch."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from bundle.runtime.model_format import FINDER as FINDER_KEY
from bundle.runtime.model_format import METADATA

SLOPES, OFFSETS = (0.0, 1.0, 2.0), (0.0, -10.0, -30.0)
"""Class scores ``slope * value + offset``: values above 10 are of class 1, above 20 of class 2."""

VOLUMES: dict[str, Any] = {
    "task": "volumes",
    "version": "0.2.0",
    "label_names": {"background": 0, "low": 1, "high": 2},
    "channels": ["image"],
    "spacing_mm": [1.0, 1.0, 1.0],
    "spacing_range_mm": [0.2, 5.0],
    "window": [12, 16, 12],
    "overlap": 0.25,
    "preprocessing": {
        "crop_border": True,
        "flag_limit": 4.0,
        "plausible_distance": 10.0,
        "largest_crop_mm": [20.0, 20.0, 20.0],
        "percentiles": None,
        "exclude_border": True,
    },
    "plausibility": None,
}


def network() -> torch.nn.Module:
    """Return the network of :func:`write_volume_model`."""
    convolution = torch.nn.Conv3d(1, 3, 1)
    with torch.no_grad():
        convolution.weight.copy_(torch.tensor(SLOPES).reshape(3, 1, 1, 1, 1))
        convolution.bias.copy_(torch.tensor(OFFSETS))
    return convolution.eval()


def write_volume_model(path: Path, **about: Any) -> Path:
    """Write a model of volumes that labels raw values by two thresholds."""
    weights = {"w": np.array(SLOPES, np.float32).reshape(3, 1, 1, 1, 1), "b": np.array(OFFSETS, np.float32)}
    node = helper.make_node("Conv", ["image", "w", "b"], ["scores"])
    inputs = [
        helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 1, "r", "a", "s"]),
        helper.make_tensor_value_info("statistics", TensorProto.DOUBLE, ["m", 4]),
    ]
    outputs = [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", 3, "r", "a", "s"])]
    return _write(path, [node], inputs, outputs, weights, {**VOLUMES, **about})


def write_mask_model(path: Path, **about: Any) -> Path:
    """Write a model of one structure whose probability is the first channel of the normalized image, from 0 to 1.

    Its features are the means of the channels.
    """
    nodes = [
        helper.make_node("Gather", ["statistics", "zero"], ["mean"], axis=1),
        helper.make_node("Gather", ["mean", "zero"], ["red"], axis=1),
        helper.make_node("Slice", ["image", "starts", "ends", "axes"], ["first"]),
        helper.make_node("Sub", ["first", "red"], ["difference"]),
        helper.make_node("Clip", ["difference", "low", "high"], ["probabilities"]),
        helper.make_node("ReduceMean", ["image", "spatial"], ["image_features"], keepdims=0),
    ]
    constants = {
        "zero": np.array(0),
        "starts": np.array([0]),
        "ends": np.array([1]),
        "axes": np.array([1]),
        "spatial": np.array([2, 3]),
        "low": np.array(0, np.float32),
        "high": np.array(1, np.float32),
    }
    inputs = [
        helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, "h", "w"]),
        helper.make_tensor_value_info("statistics", TensorProto.FLOAT, [1, 2, 3]),
    ]
    outputs = [
        helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", 1, "h", "w"]),
        helper.make_tensor_value_info("image_features", TensorProto.FLOAT, ["n", 3]),
    ]
    preprocessing = {"crop_border": True, "flag_limit": 4.0, "single_region": False, "tolerance": 0.0}
    known = {
        "task": "lesion_segmentation",
        "version": "0.2.0",
        "label_names": {"background": 0, "lesion": 1},
        "levels": [255],
        "threshold": 0.25,
        "preprocessing": preprocessing,
    }
    return _write(path, nodes, inputs, outputs, constants, {**known, **about})


def write_class_model(path: Path, **about: Any) -> Path:
    """Write a model of three classes whose probabilities, and features, are the means of the channels."""
    nodes = [
        helper.make_node("ReduceMean", ["image", "axes"], ["probabilities"], keepdims=0),
        helper.make_node("Identity", ["probabilities"], ["image_features"]),
    ]
    inputs = [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, "h", "w"])]
    names = ("probabilities", "image_features")
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 3]) for name in names]
    known = {
        "task": "lesion_classification",
        "version": "0.2.0",
        "class_names": ["red", "green", "blue"],
        "thresholds": {"red": 0.5, "green": 0.5, "blue": 0.5},
        "preprocessing": {"crop_border": True, "flag_limit": 4.0},
    }
    return _write(path, nodes, inputs, outputs, {"axes": np.array([2, 3])}, {**known, **about})


REGIONS = {"left": 1, "right": 2}
FINDER: dict[str, Any] = {
    "regions": REGIONS,
    "spacing_mm": [2.0, 2.0, 2.0],
    "antialias": True,
    "percentiles": [0.5, 99.5],
    "exclude_border": True,
    "size_mm": [14.0, 14.0, 16.0],
    "divisor": 16,
    "min_volume_mm3": 0.0,
    "offsets": {"left": 10, "right": 20},
}


def write_head_model(path: Path, **about: Any) -> Path:
    """Write a model with a finder: regions are positive and negative values, parts have values about 10 and 20."""
    nodes = [
        helper.make_node("Abs", ["image"], ["size"]),
        helper.make_node("Sub", ["size", "values"], ["from"]),
        helper.make_node("Abs", ["from"], ["distance"]),
        helper.make_node("Sub", ["five", "distance"], ["scores"]),
    ]
    values = np.array([0, 10, 20], np.float32).reshape(1, 3, 1, 1, 1)
    inputs = [
        helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 1, "r", "a", "s"]),
        helper.make_tensor_value_info("statistics", TensorProto.DOUBLE, ["m", 4]),
    ]
    outputs = [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", 3, "r", "a", "s"])]
    finder = _write(path.with_name("finder.onnx"), *_finder_graph(), {})
    known = {**VOLUMES, "finder": FINDER, "label_names": {"background": 0, "rear": 1, "front": 2}}
    constants = {"values": values, "five": np.array(5, np.float32)}
    embedded = {FINDER_KEY: base64.b64encode(finder.read_bytes()).decode()}
    finder.unlink()
    return _write(path, nodes, inputs, outputs, constants, {**known, **about}, embedded)


class HeadFinder(torch.nn.Module):
    """The network that finds regions in a model of :func:`write_head_model`; its scores are logits."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        left, right = (x / 4).clamp(0, 1), (-x / 4).clamp(0, 1)
        return torch.cat([1 - left - right, left, right], dim=1)


def _finder_graph() -> tuple[Any, ...]:
    nodes = [
        helper.make_node("Mul", ["image", "quarter"], ["scaled"]),
        helper.make_node("Clip", ["scaled", "zero", "one"], ["left"]),
        helper.make_node("Neg", ["scaled"], ["mirrored"]),
        helper.make_node("Clip", ["mirrored", "zero", "one"], ["right"]),
        helper.make_node("Add", ["left", "right"], ["both"]),
        helper.make_node("Sub", ["one", "both"], ["none"]),
        helper.make_node("Concat", ["none", "left", "right"], ["logits"], axis=1),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    shape = [1, 1, "r", "a", "s"]
    inputs = [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)]
    outputs = [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [1, 3, *shape[2:]])]
    constants = {name: np.array(value, np.float32) for name, value in {"quarter": 0.25, "zero": 0, "one": 1}.items()}
    return nodes, inputs, outputs, constants


def _write(
    path: Path,
    nodes: list[Any],
    inputs: list[Any],
    outputs: list[Any],
    constants: dict[str, Any],
    about: dict[str, Any],
    properties: dict[str, str] | None = None,
) -> Path:
    initializers = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "small", inputs, outputs, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, {METADATA: json.dumps(about), **(properties or {})})
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(path))
    return path


def write_disc_model(path: Path, maps: np.ndarray, skeleton: dict[str, Any]) -> Path:
    """Write a model of discs that returns the same heat maps ``(N, C, a, s)`` for every image."""
    node = helper.make_node("Identity", ["known"], ["maps"])
    inputs = [
        helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 1, "r", "a", "s"]),
        helper.make_tensor_value_info("weights", TensorProto.FLOAT, ["n", "r"]),
        helper.make_tensor_value_info("statistics", TensorProto.DOUBLE, ["m", 4]),
    ]
    outputs = [helper.make_tensor_value_info("maps", TensorProto.FLOAT, maps.shape)]
    about = {
        "task": "disc_labeling",
        "levels": list(range(2, 26)),
        "spacing_mm": [None, 1.5, 1.5],
        "spacing_range_mm": [0.2, 10.0],
        "stride": 4,
        "slab_mm": 6.0,
        "slab_offsets_mm": [-12.0, -6.0, 0.0, 6.0, 12.0],
        "vertebrae": {"thoracic": 12, "lumbar": 5},
        "skeleton": skeleton,
        "preprocessing": {"crop_border": True, "percentiles": [1.0, 99.0], "exclude_border": True, "flag_limit": None},
    }
    return _write(path, [node], inputs, outputs, {"known": maps}, about)
