"""Configs and metadata of a pack whose weights come from a model folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import torch

from bundle.utils.digests import sha256_of_file
from bundle.utils.label_names import structures_of
from bundle.workflow.model_folder import ModelFolder

Config = dict[str, Any]


def with_model(config: Mapping[str, Any], model: ModelFolder) -> Config:
    """Return a workflow with the settings of a model folder; it names its files by the paths of the pack."""
    return {**config, **json.loads(json.dumps({**model.defaults, **model.settings}))}


def model_metadata(metadata: Mapping[str, Any], model: ModelFolder) -> Config:
    """Return the metadata of a task for the weights of a model folder.

    What was written about the shipped weights is replaced by what is known of these: classes, shapes, the training and
    its best metric.
    """
    changed = json.loads(json.dumps(metadata))
    names, training = _channels(model), dict(model.training)
    listed = ", ".join(names or changed["network_data_format"]["outputs"]["pred"]["channel_def"].values())
    cases = {name: len(training.get(f"{name}_cases", ())) for name in ("training", "validation")}
    changed["name"] = f"{metadata['name']}: {model.folder.resolve().name}"
    changed["description"] = f"Weights trained with Keyslice. Outputs: {listed}."
    changed["data_source"] = f"{cases['training']} cases of training and {cases['validation']} of validation"
    changed["image_classes"] = f"images like those of the training; channels: {model.settings.get('modalities') or '1'}"
    changed["label_classes"] = listed
    changed["limitations"] = ["Not evaluated on further data.", "Review every result."]
    changed["eval_metrics"] = dict(training.get("metric", {}))
    _set_formats(changed["network_data_format"], model, names)
    state = torch.load(model.weights, map_location="cpu", weights_only=True)
    changed["weights"] |= {
        "sha256": sha256_of_file(model.weights),
        "parameters": sum(value.numel() for value in state.values()),
        "training": f"{training.get('epoch')} epochs",
    }
    return changed


def _set_formats(formats: Config, model: ModelFolder, names: list[str]) -> None:
    image, pred = formats["inputs"]["image"], formats["outputs"]["pred"]
    size, channels = model.settings.get("roi_size"), model.settings.get("modalities")
    if size:
        image["spatial_shape"] = list(size)
        if pred["format"] == "segmentation":
            pred["spatial_shape"] = list(size)
    if channels:
        image |= {"num_channels": len(channels), "channel_def": {str(i): name for i, name in enumerate(channels)}}
    if names:
        pred |= {"num_channels": len(names), "channel_def": {str(i): name for i, name in enumerate(names)}}
        if pred["format"] == "classes":
            pred["spatial_shape"] = [1, len(names)]


def _channels(model: ModelFolder) -> list[str]:
    """Return the names of the channels that the network puts out; none where they are those of the task."""
    settings = model.settings
    if "class_names" in settings:
        return list(settings["class_names"])
    if settings.get("regions"):
        return list(settings["regions"])
    if "label_names" not in settings:
        return []
    names = list(structures_of(settings["label_names"]))
    is_independent = len(names) == settings["network_def"]["out_channels"]
    return names if is_independent else ["background", *names]
