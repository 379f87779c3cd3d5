"""Training, evaluation and inference of the segmentation of images on drawn lesions."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from contracts import config as contract
from helpers.image_cases import draw_lesion, write_lesions
from helpers.workflows import make_workflow, run_workflow
from monai.bundle import create_workflow
from monai.bundle.config_parser import ConfigParser
from PIL import Image

UNET = {
    "_target_": "bundle.networks.AttentionUNet",
    "spatial_dims": 2,
    "in_channels": 3,
    "out_channels": 1,
    "channels": [4, 8],
    "attention": "se",
    "norm": "batch",
}
"""A network that learns in seconds what a drawn lesion is."""

SMALL: dict[str, Any] = {"roi_size": [32, 32], "network_def": UNET}
TRAINING = {"batch_size": 2, "amp": False, "val_interval": 1, "pretrained": False, "weight_average": 0.5}
TASKS = ("lesion_segmentation", "cell_segmentation")
SMALL_NETWORKS = {
    "attention_deeplabv3plus": {
        "trunk": ["resnet", {"width": 0.0625, "depth": [1, 1, 1, 1]}],
        "aspp": {"channels": 8, "reduction": 1},
        "decoder": {"low_channels": 4, "channels": 8, "head_channels": 8},
    },
    "contextual_attention_unet": {
        "trunk": ["resnet", {"width": 0.0625, "depth": [1, 1, 1, 1]}],
        "decoder": {"channels": [8, 8, 8, 8, 8]},
        "transformer": {"channels": [4, 8], "depth": 1, "heads": 2},
        "head": {"context_channels": 4, "boundary_channels": 4},
        "attention": ["se", {"reduction": 2}],
    },
    "unet": {"channels": [4, 8]},
    "deeplabv3plus": {
        "trunk": ["resnet", {"width": 0.0625, "depth": [1, 1, 1, 1]}],
        "aspp": {"channels": 8},
        "decoder": {"low_channels": 4, "channels": 8},
    },
}


def run_images(task: str, workflow: str, *overlays: str, **overrides: Any) -> Any:
    """Run a workflow of a task on images at test size."""
    files = [f"{task}/{name}.json" for name in (workflow, *overlays)]
    return run_workflow(files, **{**SMALL, **overrides})


def run_overlaid(files: list[str], **overrides: Any) -> None:
    """Run a training whose network is not that of the task, so that :data:`SMALL` does not fit it."""
    paths = [str(contract.CONFIGS / name) for name in files]
    workflow = create_workflow(config_file=paths, workflow_type="train", logging_file=False, device="cpu", **overrides)
    workflow.run()
    workflow.finalize()


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_lesions(tmp_path_factory.mktemp("lesions"), 5)


@pytest.fixture(scope="module")
def trained(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of a training that learns what a drawn lesion is."""
    folder = tmp_path_factory.mktemp("training")
    options = {**TRAINING, "epochs": 30, "val_interval": 30, "learning_rate": 0.02, "augmentation": {"hflip": {}}}
    run_images(TASKS[0], "train", dataset_dir=str(dataset), output_dir=str(folder), **options)
    return folder


@pytest.fixture(scope="module")
def checkpoint(trained: Path) -> str:
    return str(trained / "model.pt")


def failures(folder: Path) -> dict[str, str]:
    content = json.loads((folder / "summary.json").read_text())
    return {failure["case"]: failure["error"] for failure in content["failures"]}


def test_a_training_leaves_weights_state_and_summary(trained: Path) -> None:
    assert {"model.pt", "last.pt", "summary.json"} <= {path.name for path in trained.iterdir()}
    assert failures(trained) == {}


@pytest.mark.parametrize("task", TASKS)
def test_a_task_trains_with_all_kinds_of_augmentation(task: str, dataset: Path, tmp_path: Path) -> None:
    run_images(task, "train", dataset_dir=str(dataset), output_dir=str(tmp_path), epochs=1, **TRAINING)
    assert torch.load(tmp_path / "last.pt", weights_only=True)["epoch"] == 1


@pytest.mark.parametrize("overlay", contract.IMAGE_NETWORK_OVERLAYS)
def test_every_network_trains_by_its_overlay(overlay: str, dataset: Path, tmp_path: Path) -> None:
    options = {f"network_def#{name}": value for name, value in SMALL_NETWORKS[overlay].items()}
    files = [f"{TASKS[0]}/train.json", f"{TASKS[0]}/networks/{overlay}.json"]
    folders = {"dataset_dir": str(dataset), "output_dir": str(tmp_path), "roi_size": [64, 64], "epochs": 1}
    run_overlaid(files, **options, **folders, **TRAINING)
    assert torch.load(tmp_path / "last.pt", weights_only=True)["epoch"] == 1


@pytest.mark.parametrize("overlay", contract.IMAGE_NETWORK_OVERLAYS)
def test_every_overlay_maps_the_image_of_the_configs_to_one_mask(overlay: str) -> None:
    parser = ConfigParser()
    folder = contract.CONFIGS / TASKS[0]
    parser.read_config([str(folder / "inference.json"), str(folder / "networks" / f"{overlay}.json")])
    with torch.device("meta"):
        network = parser.get_parsed_content("network_def").eval()
        logits = network(torch.empty(1, 3, *parser.get_parsed_content("roi_size")))
    assert logits.shape == (1, 1, *parser.get_parsed_content("roi_size"))


def test_a_resumed_training_ends_bit_equal_to_an_uninterrupted_one(dataset: Path, tmp_path: Path) -> None:
    options = {"dataset_dir": str(dataset), "lr_schedule": "constant", **TRAINING}
    for folder, epochs, resume in (("complete", 2, False), ("parts", 1, False), ("parts", 2, True)):
        run_images(TASKS[0], "train", output_dir=str(tmp_path / folder), epochs=epochs, resume=resume, **options)
    complete, parts = (
        torch.load(tmp_path / name / "last.pt", weights_only=True)["network"] for name in ("complete", "parts")
    )
    assert all(torch.equal(value, parts[key]) for key, value in complete.items())


def test_the_preview_shows_augmented_images(dataset: Path, tmp_path: Path) -> None:
    options = {**SMALL, "dataset_dir": str(dataset), "output_dir": str(tmp_path), "pretrained": False}
    make_workflow([f"{TASKS[0]}/train.json"], **options).parser.get_parsed_content("preview")
    with Image.open(tmp_path / "preview.png") as sheet:
        assert sheet.width > 4 * sheet.height / 5


def test_an_evaluation_reports_metrics_per_image_and_pooled(dataset: Path, checkpoint: str, tmp_path: Path) -> None:
    options = {"dataset_dir": str(dataset), "checkpoint": checkpoint, "output_dir": str(tmp_path), "save_masks": True}
    run_images(TASKS[0], "evaluate", **options)
    content = json.loads((tmp_path / "metrics.json").read_text())
    assert content["per_image"]["lesion"]["dice"]["mean"] > 0.9
    assert content["pooled"]["lesion"]["jaccard"]["value"] > 0.8
    with (tmp_path / "metrics.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 5
    assert len(list(tmp_path.glob("*_overlay.jpg"))) == 5


def test_an_inference_writes_masks_of_the_size_of_the_file(checkpoint: str, tmp_path: Path) -> None:
    source, output = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    image, mask = draw_lesion(75, 110, seed=7)
    Image.fromarray(image).save(source / "wide.png")
    (source / "broken.jpg").write_bytes(b"not an image")
    options = {"input": str(source), "output_dir": str(output), "checkpoint": checkpoint}
    with pytest.raises(SystemExit) as stop:
        run_images(TASKS[0], "inference", **options)
    assert stop.value.code == 2
    assert list(failures(output)) == ["broken"]
    found = Image.open(output / "wide_seg.png")
    assert (found.mode, found.size) == ("L", (110, 75))
    assert set(np.unique(np.asarray(found))) == {0, 255}
    inside, wanted = np.asarray(found) > 0, mask > 0
    assert 2 * (inside & wanted).sum() / (inside.sum() + wanted.sum()) > 0.9
    assert {"wide_probability.png", "wide_overlay.jpg", "wide.json", "images.csv"} <= {
        path.name for path in output.iterdir()
    }


def test_a_resumed_inference_makes_nothing_again(dataset: Path, checkpoint: str, tmp_path: Path) -> None:
    options = {"input": str(dataset / "images"), "output_dir": str(tmp_path), "checkpoint": checkpoint}
    run_images(TASKS[0], "inference", **options)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*_seg.png")}
    run_images(TASKS[0], "inference", resume=True, **options)
    assert len(before) == 5
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_fine_tuning_starts_from_the_weights_of_a_training(dataset: Path, checkpoint: str, tmp_path: Path) -> None:
    options = {"dataset_dir": str(dataset), "output_dir": str(tmp_path), "checkpoint": checkpoint, "epochs": 1}
    run_images(TASKS[0], "train", learning_rate=1e-6, **TRAINING, **options)
    start, end = (torch.load(path, weights_only=True) for path in (checkpoint, tmp_path / "model.pt"))
    assert all(torch.allclose(start[key], end[key], atol=1e-3) for key in start if key.endswith("conv.weight"))


def test_parts_of_cells_are_distinguished(tmp_path: Path) -> None:
    """White blood cells: cytoplasm is gray 128, the nucleus 255."""
    dataset = write_lesions(tmp_path / "cells", 5)
    for path in (dataset / "masks").iterdir():
        mask = np.array(Image.open(path))
        mask[(mask > 0) & (np.arange(mask.shape[1]) < mask.shape[1] // 2)[None]] = 128
        Image.fromarray(mask).save(path)
    network = {"network_def": {**UNET, "out_channels": 3}}
    options = {"dataset_dir": str(dataset), "output_dir": str(tmp_path / "out"), "epochs": 1, **network}
    run_images("cell_segmentation", "train", "parts", **TRAINING, **options)
    options = {"checkpoint": str(tmp_path / "out" / "model.pt"), "input": str(dataset / "images"), **network}
    run_images("cell_segmentation", "inference", "parts", output_dir=str(tmp_path / "found"), **options)
    names = {path.name for path in (tmp_path / "found").iterdir()}
    assert {"lesion0_seg.png", "lesion0_probability_nucleus.png"} <= names
    with (tmp_path / "found" / "images.csv").open() as file:
        assert {row["structure"] for row in csv.DictReader(file)} == {"cytoplasm", "nucleus"}


def test_a_border_is_background_and_changes_nothing_inside(checkpoint: str, tmp_path: Path) -> None:
    image, _ = draw_lesion(48, 64, seed=9)
    pads = ((7, 12), (20, 3), (0, 0))
    for name, value in ("plain", None), ("black", 0), ("white", 255):
        pixels = image if value is None else np.pad(image, pads, constant_values=value)
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    run_images(TASKS[0], "inference", input=str(tmp_path), output_dir=str(tmp_path / "out"), checkpoint=checkpoint)
    plain, black, white = (
        np.asarray(Image.open(tmp_path / "out" / f"{name}_seg.png")) for name in ("plain", "black", "white")
    )
    assert plain.any()
    np.testing.assert_array_equal(black, np.pad(plain, pads[:2]))
    np.testing.assert_array_equal(white, black)
