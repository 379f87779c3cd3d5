"""The candidate network in the workflows of disc labeling, and the overlays of networks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from monai.bundle import ConfigParser, create_workflow

from bundle import ROOT
from bundle.networks import CandidateNet
from bundle.phantoms.spine.spine_phantom import write_spine_phantoms
from bundle.tasks.spine.discs import read_discs

CONFIGS = Path(ROOT, "configs", "disc_labeling")
OVERLAYS = ("hourglass_plain", "shape_unet")
TINY = {"width": 8, "depth": 1, "heads": 2}


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("phantoms")
    options = {"shape": (4, 96, 128), "spacing": (5.0, 1.5, 1.5), "field_of_view": "lumbar"}
    write_spine_phantoms(folder, 2, folds=2, **options)
    return folder


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    torch.save(CandidateNet(2, 25, features=24, **TINY).state_dict(), tmp_path / "candidates.pt")
    return tmp_path / "candidates.pt"


def parsed(workflow: str, *overlays: str) -> ConfigParser:
    parser = ConfigParser()
    names = [f"{workflow}.json", *(f"networks/{name}.json" for name in overlays)]
    parser.read_config([str(CONFIGS / name) for name in names])
    return parser


@pytest.mark.parametrize("workflow", ["train", "evaluate", "inference"])
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_network_gives_maps_of_a_quarter_of_the_size(workflow: str, overlay: str) -> None:
    parser = parsed(workflow, overlay)
    with torch.device("meta"):
        network = parser.get_parsed_content("network_def").eval()
        maps = network(torch.empty(2, 1, 192, 256))
    assert maps.shape == (2, 24, 48, 64)
    assert not [name for name, _ in network.named_modules() if "attention" in name]


@pytest.mark.parametrize("workflow", ["evaluate", "inference"])
def test_the_overlay_of_candidates_replaces_the_decoding_alone(workflow: str) -> None:
    plain, overlaid = parsed(workflow).get(), parsed(workflow, "candidates").get()
    decoding = overlaid["postprocessing"]["transforms"].pop(0)
    assert decoding["_target_"].endswith("LabelCandidatesd")
    assert plain["postprocessing"]["transforms"].pop(0)["_target_"].endswith("DecodeDiscsd")
    added = {"candidate_checkpoint", "candidate_network_def", "candidate_network"}
    assert {name: value for name, value in overlaid.items() if name not in added} == plain


def test_training_evaluation_and_inference_have_one_candidate_network() -> None:
    training = json.loads((CONFIGS / "train_candidates.json").read_text(encoding="utf-8"))
    overlay = json.loads((CONFIGS / "networks" / "candidates.json").read_text(encoding="utf-8"))
    assert training["network_def"] == overlay["candidate_network_def"]


def test_the_committed_weights_are_of_that_network_and_small() -> None:
    network = parsed("inference", "candidates").get_parsed_content("candidate_network")
    assert sum(value.numel() for value in network.parameters()) < 200_000
    assert Path(ROOT, "models", "disc_labeling", "candidates.pt").stat().st_size < 1_000_000


def test_a_training_writes_weights_and_logs_the_identification(phantoms: Path, tmp_path: Path) -> None:
    options = {f"network_def#{name}": value for name, value in TINY.items()}
    sizes = {"epochs": 2, "samples_per_epoch": 16, "batch_size": 8, "val_samples": 5, "drawn_spines": 3}
    workflow = create_workflow(
        config_file=str(CONFIGS / "train_candidates.json"),
        workflow_type="train",
        logging_file=False,
        dataset_dir=str(phantoms),
        output_dir=str(tmp_path / "out"),
        device="cpu",
        **options,
        **sizes,
    )
    assert workflow.check_properties() == []
    workflow.run()
    workflow.finalize()
    state = torch.load(tmp_path / "out" / "model.pt", weights_only=True)
    CandidateNet(2, 25, features=24, **TINY).load_state_dict(state)
    metrics = workflow.parser.get_parsed_content("validate#evaluator").state.metrics
    assert 0 <= metrics["identification_rate"] <= 1
    assert json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))["failures"] == []


@pytest.mark.parametrize("network", ["candidates", "shape_unet"])
def test_a_volume_goes_through_with_the_overlay(network: str, phantoms: Path, checkpoint: Path, tmp_path: Path) -> None:
    smaller = {"stacks": 1, "width": 4} if network == "candidates" else {"channels": [4, 4, 8]}
    overlays = [network] if network == "candidates" else [network, "candidates"]
    run = create_workflow(
        config_file=[str(CONFIGS / "inference.json"), *(str(CONFIGS / "networks" / f"{o}.json") for o in overlays)],
        workflow_type="infer",
        logging_file=False,
        input=str(phantoms / "images" / "phantom00000.nii.gz"),
        output_dir=str(tmp_path / "out"),
        checkpoint="",
        candidate_checkpoint=str(checkpoint),
        device="cpu",
        figure=False,
        **{f"candidate_network_def#{name}": value for name, value in TINY.items()},
        **{f"network_def#{name}": value for name, value in smaller.items()},
        **{"postprocessing#transforms#0#peaks": {"threshold": 0.01}},
    )
    run.run()
    run.finalize()
    values = [disc.value for disc in read_discs(tmp_path / "out" / "phantom00000.json")]
    assert values == sorted(set(values))


def test_the_shape_network_trains_by_its_overlay(phantoms: Path, tmp_path: Path) -> None:
    workflow = create_workflow(
        config_file=[str(CONFIGS / "train.json"), str(CONFIGS / "networks" / "shape_unet.json")],
        workflow_type="train",
        logging_file=False,
        dataset_dir=str(phantoms),
        output_dir=str(tmp_path / "out"),
        device="cpu",
        **{"network_def#channels": [4, 4, 8], "epochs": 1, "warmup": 0, "samples_per_epoch": 2, "batch_size": 2},
        **{"amp": False, "gif_cases": 1, "val_interval": 1},
    )
    workflow.run()
    workflow.finalize()
    state = torch.load(tmp_path / "out" / "model.pt", weights_only=True)
    assert state["head.weight"].shape == (24, 8, 1, 1)
