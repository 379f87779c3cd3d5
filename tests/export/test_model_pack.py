"""A pack of a model folder has its weights, settings and metadata."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers.model_folders import CLASSES, write_model
from monai.bundle import create_workflow, verify_net_in_out

from bundle import ROOT
from bundle.export.model_pack import model_metadata
from bundle.export.pack import write_pack
from bundle.workflow.model_folder import ModelFolder


def metadata(task: str) -> dict:
    return json.loads(Path(ROOT, "configs", task, "metadata.json").read_text())


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packed")
    write_model(folder / "mine", modalities=["t1", "t2"], **{"network_def#in_channels": 2})
    return write_pack("volumes", folder / "pack", model=folder / "mine")


def test_the_pack_has_the_weights_of_the_folder(packed: Path) -> None:
    assert (packed / "models" / "model.pt").read_bytes() == (packed.parent / "mine" / "model.pt").read_bytes()
    assert not (packed / "models" / "model_plausibility.json").exists()


def test_its_network_fits_weights_and_metadata(packed: Path) -> None:
    files = {name: str(packed / "configs" / f"{name}.json") for name in ("metadata", "inference")}
    workflow = create_workflow(
        config_file=files["inference"], workflow_type="infer", logging_file=False, bundle_root=str(packed), device="cpu"
    )
    assert workflow.parser["label_names"] == CLASSES
    assert workflow.parser.get_parsed_content("network")
    verify_net_in_out(net_id="network_def", meta_file=files["metadata"], config_file=files["inference"], device="cpu")


def test_its_metadata_state_what_is_known(packed: Path) -> None:
    found = json.loads((packed / "configs" / "metadata.json").read_text())
    assert found["name"] == "Keyslice hippocampus segmentation: mine"
    assert found["label_classes"] == "background, ball, shell"
    assert found["eval_metrics"] == {"val_mean_dice": 0.5}
    assert found["network_data_format"]["inputs"]["image"]["channel_def"] == {"0": "t1", "1": "t2"}
    page = (packed / "docs" / "README.md").read_text()
    assert "- val_mean_dice of the validation: 0.500" in page


@pytest.mark.parametrize(
    ("task", "settings", "channels"),
    [
        ("lesion_classification", {"class_names": ["a", "b", "c"], "roi_size": [8, 8]}, ["a", "b", "c"]),
        ("", {"label_names": {"a": 1, "b": 2}, "regions": {"all": [1, 2], "b": [2]}}, ["all", "b"]),
        ("lesion_segmentation", {"label_names": {"a": 1}, "network_def": {"out_channels": 1}}, ["a"]),
        ("disc_labeling", {"first_level": 2}, None),
    ],
)
def test_channels_are_named_by_the_settings(
    task: str, settings: dict, channels: list[str] | None, tmp_path: Path
) -> None:
    write_model(tmp_path)
    shipped = metadata(task)
    changed = model_metadata(shipped, ModelFolder(tmp_path, task, settings))
    found = list(changed["network_data_format"]["outputs"]["pred"]["channel_def"].values())
    wanted = channels or list(shipped["network_data_format"]["outputs"]["pred"]["channel_def"].values())
    assert found == wanted
