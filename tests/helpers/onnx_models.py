"""Small exported models, made without the exporter of PyTorch, and the same networks in PyTorch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

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
    """Write a model of one structure whose probability is the first channel of the normalized image, from 0 to 1."""
    nodes = [
        helper.make_node("Gather", ["statistics", "zero"], ["mean"], axis=1),
        helper.make_node("Gather", ["mean", "zero"], ["red"], axis=1),
        helper.make_node("Slice", ["image", "starts", "ends", "axes"], ["first"]),
        helper.make_node("Sub", ["first", "red"], ["difference"]),
        helper.make_node("Clip", ["difference", "low", "high"], ["probabilities"]),
    ]
    constants = {
        "zero": np.array(0),
        "starts": np.array([0]),
        "ends": np.array([1]),
        "axes": np.array([1]),
        "low": np.array(0, np.float32),
        "high": np.array(1, np.float32),
    }
    inputs = [
        helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, "h", "w"]),
        helper.make_tensor_value_info("statistics", TensorProto.FLOAT, [1, 2, 3]),
    ]
    outputs = [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", 1, "h", "w"])]
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
    """Write a model of three classes whose probabilities are the means of the channels."""
    node = helper.make_node("ReduceMean", ["image", "axes"], ["probabilities"], keepdims=0)
    inputs = [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, "h", "w"])]
    outputs = [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", 3])]
    known = {
        "task": "lesion_classification",
        "version": "0.2.0",
        "class_names": ["red", "green", "blue"],
        "thresholds": {"red": 0.5, "green": 0.5, "blue": 0.5},
        "preprocessing": {"crop_border": True, "flag_limit": 4.0},
    }
    return _write(path, [node], inputs, outputs, {"axes": np.array([2, 3])}, {**known, **about})


def _write(
    path: Path,
    nodes: list[Any],
    inputs: list[Any],
    outputs: list[Any],
    constants: dict[str, Any],
    about: dict[str, Any],
) -> Path:
    initializers = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "small", inputs, outputs, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, {METADATA: json.dumps(about)})
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(path))
    return path
