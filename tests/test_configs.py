"""The configs as data: what they may hold, and that they agree with each other and with the metadata."""

from __future__ import annotations

import hashlib
import json
import re
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
CACHING = ("bundle.tasks.images.PackImaged", "bundle.tasks.images.UnpackImaged")
"""Steps that decide how images are cached, not what they are."""


@pytest.mark.parametrize("name", FILES)
def test_every_expression_is_on_the_allow_list(name: str) -> None:
    for text in contract.strings(contract.read(name)):
        assert not text.startswith("$") or contract.is_allowed(text), f"{name}: {text}"


@pytest.mark.parametrize("pattern", contract.ALLOWED_EXPRESSIONS)
def test_every_entry_of_the_allow_list_is_used(pattern: str) -> None:
    assert any(re.fullmatch(pattern, text) for name in FILES for text in contract.strings(contract.read(name)))


def test_the_allow_list_refuses_other_code() -> None:
    for text in ("$__import__('os').system('ls')", "$open(@input)", "$bundle.ROOT + @x", "$@network.cuda()"):
        assert not contract.is_allowed(text)


@pytest.mark.parametrize("name", FILES)
def test_no_path_is_absolute(name: str) -> None:
    assert not [text for text in contract.strings(contract.read(name)) if text.startswith(("/", "~"))]


@pytest.mark.parametrize(("task", "workflow"), contract.TASK_WORKFLOWS)
def test_what_a_user_changes_is_at_the_top(task: str, workflow: str) -> None:
    ids = list(contract.read(f"{task}/{workflow}.json"))
    wanted = contract.USER_IDS[workflow].split()
    first_section = ids.index("network_def")
    assert [name for name in ids[:first_section] if name in wanted] == sorted(wanted, key=ids.index)
    assert all(ids.index(name) < first_section for name in wanted)


@pytest.mark.parametrize(("task", "workflow"), contract.TASK_WORKFLOWS)
def test_no_id_is_without_effect(task: str, workflow: str) -> None:
    config = contract.read(f"{task}/{workflow}.json")
    text = json.dumps(config)
    idle = [name for name in config if name not in contract.READ_BY_NAME and not re.search(rf"@{name}\b", text)]
    assert not idle


@pytest.mark.parametrize("task", contract.TASKS)
def test_the_workflows_of_a_task_agree(task: str) -> None:
    train, evaluate, inference = (contract.read(f"{task}/{workflow}.json") for workflow in contract.WORKFLOWS)
    assert train["network"].pop("head") == "@checkpoint_head"
    assert evaluate["network"].pop("_disabled_") == "$@given.enabled"
    for section in (*contract.SHARED_SECTIONS, *contract.TASKS[task].shared):
        assert train[section] == evaluate[section] == inference[section], section


def _preparation(config: dict[str, Any]) -> list[Any]:
    """Return the steps that prepare an image, with those that an inference of regions delays."""
    *steps, last = config["preprocessing"]["transforms"]
    delayed = isinstance(last, dict) and last["_target_"].endswith("PrepareCropd")
    return steps + (config["crop_preprocessing"]["transforms"] if delayed else [last])


def _planned(config: dict[str, Any]) -> dict[str, Any]:
    """Return the inferer of windows or crops of an inference, with its plan."""
    inferer = config["inferer"]
    return inferer if inferer["_target_"].endswith("PlannedInferer") else inferer["inferer"]


def _image_steps(config: dict[str, Any], steps: list[Any]) -> list[dict[str, Any]]:
    """Return preprocessing as it treats the image alone."""
    dropped = {"keys", "classes", "levels", "round_levels", "resize_mask", "label_values", "ignore_label"}
    dropped |= {"allow_missing_keys", "mode", "output_format"}
    whole = [config[step.removeprefix("@")] if isinstance(step, str) else step for step in steps]
    whole = [step for step in whole if step["_target_"] not in CACHING]
    return [
        {key: value for key, value in step.items() if key not in dropped}
        for step in whole
        if "image" in step.get("keys", ())
    ]


@pytest.mark.parametrize("task", contract.TASKS)
def test_the_image_is_prepared_alike_in_all_workflows(task: str) -> None:
    train, evaluate, inference = (contract.read(f"{task}/{workflow}.json") for workflow in contract.WORKFLOWS)
    wanted = _image_steps(inference, _preparation(inference))
    fixed = train["train"]["deterministic_transforms"]
    assert _image_steps(train, fixed) == wanted[: len(wanted) - contract.TASKS[task].random_steps]
    validation = train["validate"]["preprocessing"]["transforms"]
    assert _image_steps(train, fixed if validation == "@train#deterministic_transforms" else validation) == wanted
    assert _image_steps(evaluate, evaluate["preprocessing"]["transforms"]) == wanted
    assert _planned(evaluate) == _planned(inference)
    if "label_map" in inference:
        assembler = evaluate["label_map"]["assembler"]
        assert {**assembler, "confidence": "@confidence"} == inference["label_map"]["assembler"]
    else:
        assert evaluate["postprocessing"]["transforms"][0] == inference["postprocessing"]["transforms"][0]


@pytest.mark.parametrize("task", [name for name, task in contract.TASKS.items() if task.is_explained])
def test_the_image_is_prepared_alike_in_an_explanation(task: str) -> None:
    explain, inference = (contract.read(f"{task}/{workflow}.json") for workflow in ("explain", "inference"))
    prepared = [_image_steps(config, _preparation(config)) for config in (explain, inference)]
    assert prepared[0] == prepared[1]
    assert explain["dataset"]["data"] == inference["dataset"]["data"]
    for section in (*contract.SHARED_SECTIONS, *contract.TASKS[task].shared):
        assert explain.get(section, inference[section]) == inference[section], section


@pytest.mark.parametrize("task", contract.TASKS)
def test_all_tasks_have_the_same_options(task: str) -> None:
    train, evaluate, inference = (contract.read(f"{task}/{workflow}.json") for workflow in contract.WORKFLOWS)
    for section in ("plan", "resume", "progress_json", "writer"):
        assert section in inference
    assert "plan" in evaluate
    assert "amp" in train
    assert not {"amp"} & (evaluate.keys() | inference.keys())
    assert _planned(evaluate)["plan"] == _planned(inference)["plan"] == "@plan"


def test_discs_are_found_in_a_validation_as_in_an_inference() -> None:
    train, inference = (contract.read(f"disc_labeling/{workflow}.json") for workflow in ("train", "inference"))
    assert train["validate"]["inferer"]["inferer"] == inference["inferer"]["inferer"]
    assert train["validate"]["postprocessing"]["transforms"] == inference["postprocessing"]["transforms"][:1]


@pytest.mark.parametrize("task", contract.TASKS)
def test_all_tasks_log_alike(task: str) -> None:
    assert (contract.CONFIGS / task / "logging.conf").read_text() == (contract.CONFIGS / "logging.conf").read_text()


@pytest.mark.filterwarnings("ignore:No hash value provided:UserWarning")
@pytest.mark.parametrize("task", contract.TASKS)
def test_metadata_is_complete_by_the_schema(task: str) -> None:
    verify_metadata(meta_file=str(contract.CONFIGS / task / "metadata.json"), filepath=str(SCHEMA))


@pytest.mark.parametrize("task", contract.TASKS)
def test_metadata_agrees_with_configs_weights_and_versions(task: str) -> None:
    metadata, inference = contract.read(f"{task}/metadata.json"), contract.read(f"{task}/inference.json")
    outputs = metadata["network_data_format"]["outputs"]["pred"]
    channels = contract.TASKS[task].channels(inference)
    assert metadata["version"] == __version__
    assert outputs["num_channels"] == len(channels)
    assert outputs["channel_def"] == {str(number): name for number, name in enumerate(channels)}
    weights = Path(ROOT, metadata["weights"]["path"])
    assert inference["checkpoint"] == f"$@bundle_root + '/{metadata['weights']['path']}'"
    assert hashlib.sha256(weights.read_bytes()).hexdigest() == metadata["weights"]["sha256"]
    state = torch.load(weights, weights_only=True)
    count = sum(value.numel() for value in state.values())
    assert count == metadata["weights"]["parameters"] <= contract.TASKS[task].parameters
    assert weights.stat().st_size <= contract.TASKS[task].size


@pytest.mark.parametrize("task", contract.TASKS)
def test_metadata_names_the_pinned_versions(task: str) -> None:
    pins = dict(line.split("==") for line in Path(ROOT, "constraints.txt").read_text().splitlines() if "==" in line)
    metadata = contract.read(f"{task}/metadata.json")
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


def _bundle_files(task: str) -> dict[str, str]:
    """Return what the exports of MONAI take: the network's id, metadata, config and weights of a task."""
    folder, metadata = contract.CONFIGS / task, contract.read(f"{task}/metadata.json")
    return {
        "net_id": "network_def",
        "meta_file": str(folder / "metadata.json"),
        "config_file": str(folder / "inference.json"),
        "ckpt_file": str(Path(ROOT, metadata["weights"]["path"])),
    }


@pytest.mark.parametrize("task", contract.TASKS)
def test_the_weights_export_to_torchscript_with_the_same_numbers(task: str, tmp_path: Path) -> None:
    target = str(tmp_path / "model.ts")
    ckpt_export(filepath=target, **_bundle_files(task))
    scripted = torch.jit.load(target)
    _assert_same_as_eager(lambda image: scripted(image), task, atol=1e-5)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
@pytest.mark.parametrize("task", contract.TASKS)
def test_the_weights_export_to_onnx_with_the_same_numbers(task: str, tmp_path: Path) -> None:
    import onnxruntime

    target = str(tmp_path / "model.onnx")
    onnx_export(filepath=target, **_bundle_files(task))
    session = onnxruntime.InferenceSession(target, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    _assert_same_as_eager(lambda image: torch.as_tensor(session.run(None, {name: image.numpy()})[0]), task, atol=1e-3)


def _assert_same_as_eager(run: Any, task: str, atol: float) -> None:
    metadata = contract.read(f"{task}/metadata.json")
    parser = ConfigParser(contract.read(f"{task}/inference.json"))
    network = parser.get_parsed_content("network_def").eval()
    network.load_state_dict(torch.load(Path(ROOT, metadata["weights"]["path"]), weights_only=True))
    taken = metadata["network_data_format"]["inputs"]["image"]
    image = torch.randn(1, taken["num_channels"], *taken["spatial_shape"], generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(run(image), network(image), atol=atol, rtol=atol)


@pytest.mark.parametrize("name", [name for name in FILES if Path(name).name.startswith("train")])
def test_the_overlay_of_several_processes_keeps_what_a_training_sets(name: str) -> None:
    single, shared = contract.read(name), ConfigParser()
    shared.read_config([str(contract.CONFIGS / name), str(contract.CONFIGS / "multi_gpu_train.json")])
    assert single["initialize"][1] == "$monai.utils.set_determinism(seed=@seed)"
    assert shared["initialize"][::2] == single["initialize"][::2]
    assert shared["network"] == single["network"]
    assert shared["train"]["dataloader"] == single["train"]["dataloader"]
    assert shared["validate"]["handlers"][:-1] == single["validate"]["handlers"]
    assert shared["finalize"][1:] == single["finalize"]


def test_every_file_is_a_workflow_or_an_overlay() -> None:
    known = {
        (Path(folder) / name).as_posix()
        for folder, task in contract.TASKS.items()
        for name in (*(f"{workflow}.json" for workflow in task.workflows), *task.overlays)
    }
    assert set(FILES) == known


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


@pytest.mark.parametrize("overlay", contract.DISC_NETWORK_OVERLAYS)
def test_every_overlay_of_disc_labeling_maps_a_slab_to_heat_maps(overlay: str) -> None:
    folder = contract.CONFIGS / "disc_labeling"
    parser = ConfigParser()
    parser.read_config([str(folder / "inference.json"), str(folder / "networks" / f"{overlay}.json")])
    formats = contract.read("disc_labeling/metadata.json")["network_data_format"]
    with torch.device("meta"):
        network = parser.get_parsed_content("network_def").eval()
        maps = network(torch.empty(1, 1, *formats["inputs"]["image"]["spatial_shape"]))
    output = formats["outputs"]["pred"]
    assert maps.shape == (1, output["num_channels"], *output["spatial_shape"])


def _overlaid(overlay: str | None, attention: Any) -> ConfigParser:
    parser = ConfigParser()
    names = ["train.json"] if overlay is None else ["train.json", f"networks/{overlay}.json"]
    parser.read_config([str(contract.CONFIGS / name) for name in names])
    parser["attention"] = attention
    return parser


@pytest.mark.parametrize("task", contract.TASKS)
@pytest.mark.parametrize("workflow", contract.WORKFLOWS)
def test_the_workflow_has_all_properties_of_monai(task: str, workflow: str, tmp_path: Path) -> None:
    contract.TASKS[task].write(tmp_path, 6)
    options = {"input": str(tmp_path / "images")} if workflow == "inference" else {"dataset_dir": str(tmp_path)}
    created = create_workflow(
        config_file=str(contract.CONFIGS / task / f"{workflow}.json"),
        workflow_type="train" if workflow == "train" else "infer",
        logging_file=False,
        output_dir=str(tmp_path / "out"),
        **options,
    )
    assert created.check_properties() == []


def test_the_committed_split_is_seeded_and_disjoint() -> None:
    split = json.loads((contract.CONFIGS / "datasets" / "hippocampus_split.json").read_text(encoding="utf-8"))
    folds = [{item["image"] for item in split["training"] if item["fold"] == fold} for fold in range(16)]
    test = {item["image"] for item in split["test"]}
    assert [len(fold) for fold in folds] == [7] * 16
    assert len(test) == 28
    assert len(test.union(*folds)) == 140
