"""The configs as data: what they may hold, and that they agree with each other and with the metadata."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from contracts import config as contract
from monai.bundle import ckpt_export, create_workflow, onnx_export, verify_metadata, verify_net_in_out
from monai.bundle.config_parser import ConfigParser

from bundle import ROOT, __version__
from bundle.attention import CBAM, SqueezeExcitation
from bundle.networks import AttentionUNet, AttentionVNet

SCHEMA = Path(__file__).with_name("schemas") / "meta_schema_20240725.json"
FILES = contract.config_files()
INFERENCE = str(contract.CONFIGS / "inference.json")
METADATA = str(contract.CONFIGS / "metadata.json")


@pytest.mark.parametrize("name", FILES)
def test_every_expression_is_on_the_allow_list(name: str) -> None:
    for text in contract.strings(contract.read(name)):
        assert not text.startswith("$") or contract.is_allowed(text), f"{name}: {text}"


def test_the_allow_list_refuses_other_code() -> None:
    for text in ("$__import__('os').system('ls')", "$open(@input)", "$bundle.ROOT + @x", "$@network.cuda()"):
        assert not contract.is_allowed(text)


@pytest.mark.parametrize("name", FILES)
def test_no_path_is_absolute(name: str) -> None:
    assert not [text for text in contract.strings(contract.read(name)) if text.startswith(("/", "~"))]


@pytest.mark.parametrize("task", contract.TASKS)
@pytest.mark.parametrize("workflow", contract.WORKFLOWS)
def test_what_a_user_changes_stands_at_the_top(task: str, workflow: str) -> None:
    ids = list(contract.read(f"{task}/{workflow}.json"))
    wanted = contract.USER_IDS[workflow].split()
    first_section = ids.index("network_def")
    assert [name for name in ids[:first_section] if name in wanted] == sorted(wanted, key=ids.index)
    assert all(ids.index(name) < first_section for name in wanted)


@pytest.mark.parametrize("task", contract.TASKS)
@pytest.mark.parametrize("section", contract.SHARED_SECTIONS)
def test_the_workflows_of_a_task_agree(task: str, section: str) -> None:
    train, evaluate, inference = (contract.read(f"{task}/{workflow}.json") for workflow in contract.WORKFLOWS)
    assert train[section] == evaluate[section] == inference[section]


def _image_steps(steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return preprocessing as it treats the image alone."""
    dropped = {"keys", "classes", "allow_missing_keys", "mode"}
    return [{key: value for key, value in step.items() if key not in dropped} for step in steps]


@pytest.mark.parametrize("task", contract.TASKS)
def test_the_image_is_prepared_alike_in_all_workflows(task: str) -> None:
    train, evaluate, inference = (contract.read(f"{task}/{workflow}.json") for workflow in contract.WORKFLOWS)
    wanted = _image_steps(inference["preprocessing"]["transforms"])
    assert _image_steps(train["train"]["deterministic_transforms"]) == wanted
    assert _image_steps(evaluate["preprocessing"]["transforms"]) == wanted
    assert evaluate["inferer"] == inference["inferer"]
    assert evaluate["postprocessing"]["transforms"][0] == inference["postprocessing"]["transforms"][0]


@pytest.mark.filterwarnings("ignore:No hash value provided:UserWarning")
@pytest.mark.parametrize("task", contract.TASKS)
def test_metadata_is_complete_by_the_schema(task: str) -> None:
    verify_metadata(meta_file=str(contract.CONFIGS / task / "metadata.json"), filepath=str(SCHEMA))


@pytest.mark.parametrize("task", contract.TASKS)
def test_metadata_agrees_with_configs_weights_and_versions(task: str) -> None:
    metadata, inference = contract.read(f"{task}/metadata.json"), contract.read(f"{task}/inference.json")
    outputs = metadata["network_data_format"]["outputs"]["pred"]
    assert metadata["version"] == __version__
    assert outputs["num_channels"] == max(inference["label_names"].values()) + 1
    assert outputs["channel_def"] == {
        "0": "background",
        **{str(value): name for name, value in inference["label_names"].items()},
    }
    weights = Path(ROOT, metadata["weights"]["path"])
    assert hashlib.sha256(weights.read_bytes()).hexdigest() == metadata["weights"]["sha256"]
    state = torch.load(weights, weights_only=True)
    assert sum(value.numel() for value in state.values()) == metadata["weights"]["parameters"] <= 2_000_000
    assert weights.stat().st_size <= 8_000_000


def test_metadata_names_the_pinned_versions() -> None:
    pins = dict(line.split("==") for line in Path(ROOT, "constraints.txt").read_text().splitlines() if "==" in line)
    metadata = contract.read("metadata.json")
    pins = {name.lower(): version for name, version in pins.items()}
    named = {
        "monai": metadata["monai_version"],
        "torch": metadata["pytorch_version"],
        "numpy": metadata["numpy_version"],
    }
    for name, version in {**named, **metadata["required_packages_version"]}.items():
        assert pins[name] == version, name


@pytest.mark.parametrize("task", contract.TASKS)
def test_the_network_maps_the_shapes_of_the_metadata(task: str) -> None:
    folder = contract.CONFIGS / task
    files = {"meta_file": str(folder / "metadata.json"), "config_file": str(folder / "inference.json")}
    verify_net_in_out(net_id="network_def", device="cpu", **files)


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_the_weights_export_to_torchscript_with_the_same_numbers(tmp_path: Path) -> None:
    target, weights = str(tmp_path / "model.ts"), str(Path(ROOT, "models", "model.pt"))
    ckpt_export(net_id="network_def", filepath=target, ckpt_file=weights, meta_file=METADATA, config_file=INFERENCE)
    scripted = torch.jit.load(target)
    _assert_same_as_eager(lambda image: scripted(image), weights, atol=1e-5)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_the_weights_export_to_onnx_with_the_same_numbers(tmp_path: Path) -> None:
    import onnxruntime

    target, weights = str(tmp_path / "model.onnx"), str(Path(ROOT, "models", "model.pt"))
    onnx_export(net_id="network_def", filepath=target, ckpt_file=weights, meta_file=METADATA, config_file=INFERENCE)
    session = onnxruntime.InferenceSession(target, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    _assert_same_as_eager(
        lambda image: torch.as_tensor(session.run(None, {name: image.numpy()})[0]), weights, atol=1e-3
    )


def _assert_same_as_eager(run: Any, weights: str, atol: float) -> None:
    parser = ConfigParser(contract.read("inference.json"))
    network = parser.get_parsed_content("network_def").eval()
    network.load_state_dict(torch.load(weights, weights_only=True))
    size = contract.read("metadata.json")["network_data_format"]["inputs"]["image"]["spatial_shape"]
    image = torch.randn(1, 1, *size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(run(image), network(image), atol=atol, rtol=atol)


def test_every_file_is_a_workflow_or_an_overlay() -> None:
    workflows = {(Path(task) / f"{name}.json").as_posix() for task in contract.TASKS for name in contract.WORKFLOWS}
    assert set(FILES) == workflows | set(contract.OVERLAYS)


@pytest.mark.parametrize("attention", [None, "se", "sa", "csa", "sca", "pam", ["pam", {"key_gradient": False}]])
@pytest.mark.parametrize(("overlay", "expected"), [(None, AttentionUNet), ("vnet", AttentionVNet)])
def test_slice_attention_goes_with_every_network_of_the_paper(overlay: str, expected: type, attention: Any) -> None:
    assert type(_overlaid(overlay, attention).get_parsed_content("network_def")) is expected


@pytest.mark.parametrize("attention", [None, "se", "cbam"])
@pytest.mark.parametrize("overlay", contract.NETWORK_OVERLAYS)
def test_every_overlay_maps_the_window_of_the_configs_to_logits(overlay: str, attention: Any) -> None:
    parser = _overlaid(overlay, attention)
    with torch.device("meta"):
        network = parser.get_parsed_content("network_def").eval()
        logits = network(torch.empty(1, 1, *parser.get_parsed_content("roi_size")))
    assert logits.shape == (1, 3, *parser.get_parsed_content("roi_size"))
    named = any(isinstance(module, (SqueezeExcitation, CBAM)) for module in network.modules())
    assert named == (attention is not None and "attention" in contract.read(f"networks/{overlay}.json")["network_def"])


def _overlaid(overlay: str | None, attention: Any) -> ConfigParser:
    parser = ConfigParser()
    names = ["train.json"] if overlay is None else ["train.json", f"networks/{overlay}.json"]
    parser.read_config([str(contract.CONFIGS / name) for name in names])
    parser["attention"] = attention
    return parser


@pytest.mark.filterwarnings("ignore:Default logging file")
@pytest.mark.parametrize("workflow", ["evaluate", "inference"])
def test_the_workflow_has_all_properties_of_monai(workflow: str, tmp_path: Path) -> None:
    from phantoms import write_case

    write_case(tmp_path, "a")
    options = {"dataset_dir": str(tmp_path)} if workflow == "evaluate" else {"input": str(tmp_path / "images")}
    created = create_workflow(
        config_file=str(contract.CONFIGS / f"{workflow}.json"), workflow_type="infer", logging_file=False, **options
    )
    assert created.check_properties() == []


def test_the_training_has_all_properties_of_monai(tmp_path: Path) -> None:
    from phantoms import write_case

    for name in "abcdef":
        write_case(tmp_path, name)
    created = create_workflow(
        config_file=str(contract.CONFIGS / "train.json"),
        workflow_type="train",
        logging_file=False,
        dataset_dir=str(tmp_path),
        output_dir=str(tmp_path / "out"),
    )
    assert created.check_properties() == []


def test_the_committed_split_is_seeded_and_disjoint() -> None:
    split = json.loads((contract.CONFIGS / "datasets" / "hippocampus_split.json").read_text(encoding="utf-8"))
    folds = [{item["image"] for item in split["training"] if item["fold"] == fold} for fold in range(16)]
    test = {item["image"] for item in split["test"]}
    assert [len(fold) for fold in folds] == [7] * 16
    assert len(test) == 28
    assert len(test.union(*folds)) == 140
