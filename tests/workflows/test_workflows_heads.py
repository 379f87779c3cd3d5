"""Trainings of the networks for whole heads: from label maps alone, and with averaged weights."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from helpers.phantoms import write_nifti
from helpers.workflows import run_workflow

SMALL = {
    "synthesis_size": [24, 24, 24],
    "coarse_size": [13, 13, 13],
    "roi_size": [16, 16, 16],
    "network_def#channels": [4, 8],
    "amp": False,
    "epochs": 2,
}


def write_label_maps(folder: Path, count: int = 2) -> None:
    """Write heads of 48 mm: white matter and a hippocampus on both sides, skull, and their datalist."""
    values = np.zeros((48, 48, 48), dtype=np.int16)
    values[4:44, 4:44, 4:44] = 514
    values[8:24, 8:40, 8:40], values[24:40, 8:40, 8:40] = 2, 41
    values[12:18, 16:30, 16:22], values[30:36, 16:30, 16:22] = 17, 53
    names = [f"head_{number}.nii.gz" for number in range(count)]
    for name in names:
        write_nifti(folder / name, values[::-1], affine=np.diag([1.0, 1, 1, 1]))
    cases = [{"image": name, "label": name, "fold": number} for number, name in enumerate(names)]
    (folder / "dataset.json").write_text(json.dumps({"training": cases}))


def test_a_network_is_trained_from_label_maps_alone(tmp_path: Path) -> None:
    write_label_maps(tmp_path / "data")
    options = {**SMALL, "dataset_dir": str(tmp_path / "data"), "output_dir": str(tmp_path / "out")}
    workflow = run_workflow(["train.json", "datasets/head_labels.json"], **options)
    item = workflow.train_dataset[0]
    assert item["image"].shape == item["label"].shape == (1, 16, 16, 16)
    assert item["image"].as_tensor().unique().numel() > 100
    assert set(item["label"].as_tensor().unique().tolist()) <= {0, 1, 2, 3, 4, 5}
    model = torch.load(tmp_path / "out" / "model.pt", weights_only=True)
    average = torch.load(tmp_path / "out" / "last.pt", weights_only=True)["average"]
    assert all(torch.equal(model[name], average[name]) for name in average)
