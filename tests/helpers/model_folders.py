"""Model folders as trainings leave them, without a training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser

from bundle import ROOT
from bundle.workflow.frozen_config import freeze_ids
from bundle.workflow.model_folder import ModelFolder

IDS = ("modalities", "label_names", "attention", "deep_supervision", "roi_size", "pixdim", "crop_border", "network_def")
CLASSES = {"ball": 1, "shell": 2}


def write_model(folder: Path, **overrides: Any) -> ModelFolder:
    """Write the folder of a small network for volumes with random weights."""
    parser = ConfigParser()
    parser.read_config(str(Path(ROOT, "configs", "train.json")))
    small = {"network_def#channels": [4, 8], "roi_size": [16, 16, 16], "attention": "se", "label_names": CLASSES}
    parser.update({**small, **overrides})
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    torch.save(parser.get_parsed_content("network_def").state_dict(), folder / "model.pt")
    training = {"epoch": 3, "training_cases": {"a": "1"}, "metric": {"val_mean_dice": 0.5}}
    settings = freeze_ids(parser, IDS)
    model = ModelFolder(folder, "volumes", settings, {"label_values": {"ball": [7], "shell": [8]}}, {}, training)
    model.write()
    return model
