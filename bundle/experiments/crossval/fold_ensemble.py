"""The networks of all folds as one: their weights in one file, and overlays that run and evaluate them."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch

from bundle.networks.network_ensemble import NetworkEnsemble
from bundle.utils.atomic_write import atomic_write
from bundle.utils.write_json import write_json

from .crossval_plan import CrossvalPlan

WEIGHTS = "ensemble.pt"
OVERLAYS = {"inference": "ensemble.json", "evaluation": "ensemble_evaluate.json"}
"""Files of the overlays, by the workflow that each is for."""

PLACE = ("device", "num_workers")
"""What depends on the machine and stays out of the overlays."""


def write_ensemble(plan: CrossvalPlan, output: Path) -> dict[str, Any]:
    """Write ``ensemble.pt`` and its overlays ``ensemble.json``, for inference, and ``ensemble_evaluate.json``.

    An overlay follows the config of the task as it is on disk. It also holds all that this cross-validation changed in
    that config.

    Returns:
        The content of the evaluation config with its overlay.
    """
    files = [output / f"fold{fold}" / "model.pt" for fold in plan.folds]
    states = [torch.load(file, map_location="cpu", weights_only=True) for file in files]
    with atomic_write(output / WEIGHTS) as partial:
        torch.save(NetworkEnsemble.join(states), partial)
    overlays = {name: overlay(plan, name, output) for name in OVERLAYS}
    for name, file in OVERLAYS.items():
        write_json(output / file, overlays[name])
    return {**deepcopy(plan.configs["evaluation"]), **overlays["evaluation"]}


def overlay(plan: CrossvalPlan, name: str, output: Path) -> dict[str, Any]:
    """Return what differs between the config ``name`` as it is on disk and that of the ensemble."""
    config, plain = plan.configs[name], plan.plain[name]
    changed = {
        key: value for key, value in config.items() if key not in PLACE and (key not in plain or plain[key] != value)
    }
    data = {"dataset_dir": plan.dataset_dir, "datalist": plan.datalist}
    # Overlays of datasets read the names of channels and structures from the dataset.
    named = {key: value and str(value.resolve()) for key, value in data.items() if f"@{key}" in json.dumps(changed)}
    members = {"network": config["network_def"], "count": len(plan.folds)}
    return {
        **deepcopy(changed),
        **named,
        "checkpoint": str((output / WEIGHTS).resolve()),
        "network_def": {"_target_": "bundle.networks.network_ensemble.NetworkEnsemble", **deepcopy(members)},
    }
