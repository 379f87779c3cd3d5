"""What is found out about a checkpoint of the original; that the logits agree: ``test_networks_original.py``."""

from __future__ import annotations

import json
import re
from collections import OrderedDict
from functools import cache
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from contracts.original_volumes import Options, original
from monai.bundle import ConfigParser

import bundle.cli.main as commands
from bundle import ROOT
from bundle.legacy.convert import WRAPPINGS, Converted, convert_checkpoint, write_converted
from bundle.legacy.original_checkpoints import MODELS, ConvertError
from bundle.networks import load_weights

TRAINED = Options(depth=32, fmaps=4, slice_reduction=8, channel_reduction=2, in_channels=1, out_channels=3)


@cache
def state_of(model: str, **options: Any) -> dict[str, torch.Tensor]:
    """Return the weights of a model of the original."""
    return original(model, Options(**{**vars(TRAINED), **options})).float().state_dict()


def saved(content: Any, folder: Path, name: str = "checkpoint.pth") -> Path:
    torch.save(content, folder / name)
    return folder / name


def refusal(content: Any, folder: Path, **given: Any) -> str:
    """Return the message, which names the file."""
    file = saved(content, folder)
    with pytest.raises(ConvertError, match=re.escape(str(file))) as caught:
        convert_checkpoint(file, **given)
    return str(caught.value)


def test_every_model_is_recognized_when_given(tmp_path: Path) -> None:
    for model in MODELS:
        converted = convert_checkpoint(saved(state_of(model), tmp_path), model=model)
        assert converted.model == model
        assert converted.found.startswith(f"{model}, 1 to 3 channels, widths ")


@pytest.mark.parametrize("model", ["unet3d", "PEunet3d", "cSEunet3d", "csSEunet3d", "vnet", "cSEvnet"])
def test_a_model_with_known_keys_need_not_be_given(model: str, tmp_path: Path) -> None:
    assert convert_checkpoint(saved(state_of(model), tmp_path)).model == model


@pytest.mark.parametrize(
    ("model", "alike"),
    [
        ("scSEunet3d", "scSEunet3d or agscSEunet3d"),
        ("agscSEunet3d", "scSEunet3d or agscSEunet3d"),
        ("csSEvnet", "csSEvnet or scSEvnet or agscSEvnet"),
    ],
)
def test_models_whose_keys_are_alike_are_not_guessed(model: str, alike: str, tmp_path: Path) -> None:
    assert f"is {alike}, whose keys are the same; name one with --model" in refusal(
        state_of(model, slice_reduction=4), tmp_path
    )


def test_hidden_units_distinguish_models_with_the_same_keys(tmp_path: Path) -> None:
    """Of 32, 16, 8 and 4 slices, reduced by 16, the plain gates keep 2, 1, 1, 1 units, progressive ones 2, 1, 0, 0."""
    for model in ("scSEunet3d", "agscSEunet3d"):
        assert convert_checkpoint(saved(state_of(model, slice_reduction=16), tmp_path)).model == model
    assert convert_checkpoint(saved(state_of("agscSEvnet", slice_reduction=16), tmp_path)).model == "agscSEvnet"
    message = refusal(state_of("csSEvnet", slice_reduction=16), tmp_path)
    assert "csSEvnet or scSEvnet, whose" in message


@pytest.mark.parametrize("name", ["30_net_agscSE_Unet3d.pth", "latest_net_agscSEunet3d.pth"])
def test_file_name_of_the_original_determines_the_model(name: str, tmp_path: Path) -> None:
    content = state_of("agscSEunet3d", slice_reduction=4)
    assert convert_checkpoint(saved(content, tmp_path, name)).model == "agscSEunet3d"
    assert convert_checkpoint(saved(content, tmp_path, name), model="SCSEUNET3D").model == "scSEunet3d"
    assert convert_checkpoint(saved(state_of("unet3d"), tmp_path, name)).model == "unet3d"


@pytest.mark.parametrize("given", ["vnet", "csSEunet3d", "nonsense"])
def test_model_that_does_not_fit_is_refused(given: str, tmp_path: Path) -> None:
    message = refusal(state_of("cSEunet3d"), tmp_path, model=given)
    assert f"model {given!r} does not fit" in message
    assert "which is cSEunet3d" in message


def test_network_is_recovered_from_the_shapes(tmp_path: Path) -> None:
    options = {"in_channels": 2, "out_channels": 5, "fmaps": 8, "depth": 48, "slice_reduction": 3}
    file = saved(state_of("agscSEunet3d", **options), tmp_path)
    given = {"slice_pooling": "max", "channel_pooling": "avg_and_max"}
    network = convert_checkpoint(file, model="agscSEunet3d", **given).network_def
    gates = {"slice_dim": 0, "key_gradient": False, "slice_reduction": 3, "channel_reduction": 2}
    assert network == {
        "_target_": "bundle.networks.AttentionUNet",
        "spatial_dims": 3,
        "in_channels": 2,
        "out_channels": 5,
        "channels": [8, 16, 32, 64],
        "levels": {"kernel_size": 3, "adn_ordering": "ADN"},
        "attention": ["pam", {**gates, "slice_pooling": "max", "channel_pooling": "avg"}],
        "spatial_size": [48, 48, 48],
        "decoder": {"upsample": "linear"},
        "act": ["prelu", {"num_parameters": "channels"}],
        "norm": "instance",
    }


def test_v_net_is_recovered_from_the_shapes(tmp_path: Path) -> None:
    file = saved(state_of("cSEvnet", channel_reduction=4, order="crb"), tmp_path)
    network = convert_checkpoint(file, layer_order="crb", channel_pooling="max").network_def
    gate = ["se", {"reduction": 4, "pooling": "max"}]
    assert (network["attention"], network["bottleneck"]) == (gate, {"attention": gate})
    assert network["channels"] == [2, 4, 8, 16, 32]
    assert network["levels"] == {"convs": [1, 2, 3, 3], "kernel_size": 5, "adn_ordering": "ADN"}
    assert (network["act"], network["norm"]) == ("relu", "batch")
    assert network["upsample_adn"]


@pytest.mark.parametrize("model", ["unet3d", "csSEunet3d", "scSEunet3d", "cSEunet3d"])
def test_nearest_neighbors_are_upsampled_where_the_original_did(model: str, tmp_path: Path) -> None:
    assert convert_checkpoint(saved(state_of(model), tmp_path), model=model).network_def["decoder"] == {
        "upsample": "nearest"
    }


@pytest.mark.parametrize("wrap", [None, *WRAPPINGS])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_state_dict_is_found_in_its_wrapping(wrap: str | None, prefix: str, tmp_path: Path) -> None:
    state = OrderedDict((f"{prefix}{key}", value) for key, value in state_of("unet3d").items())
    content = state if wrap is None else {"epoch": 3, "optimizer": {"state": {}}, wrap: state}
    converted = convert_checkpoint(saved(content, tmp_path))
    assert torch.equal(converted.state["heads.2.weight"], state[f"{prefix}final_conv.weight"])


@pytest.mark.parametrize("content", [[1], {}, {"state_dict": {"a": 1}}, {"a": 1}, {"state_dict": 3}, torch.zeros(2)])
def test_file_without_a_state_dict_is_refused(content: Any, tmp_path: Path) -> None:
    assert "holds no state dict" in refusal(content, tmp_path)


def test_missing_unreadable_and_whole_modules_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConvertError, match=r"absent.pth does not exist"):
        convert_checkpoint(tmp_path / "absent.pth")
    assert "save its state_dict()" in refusal(torch.nn.Linear(1, 1), tmp_path)


def test_checkpoint_of_another_project_is_refused(tmp_path: Path) -> None:
    message = refusal(torch.nn.Linear(1, 1).state_dict(), tmp_path)
    assert "no key begins with EncoderLayer1 or Encoder_layer1, the first is weight" in message


def test_attention_gates_are_refused(tmp_path: Path) -> None:
    state = {**state_of("agscSEunet3d"), "DecoderLayer1.attention_module.phi.weight": torch.zeros(1)}
    assert "--use_spatial_attention" in refusal(state, tmp_path)


@pytest.mark.parametrize("model", ["PEunet3d", "agscSEunet3d", "agscSEvnet"])
def test_every_key_must_be_there(model: str, tmp_path: Path) -> None:
    state = state_of(model)
    for key in list(state)[:: max(len(state) // 12, 1)]:
        short = {name: value for name, value in state.items() if name != key}
        message = refusal(short, tmp_path, model=model, layer_order="cpi")
        assert key in message or "layers with weights" in message


def test_gates_that_lack_their_first_layers_are_refused(tmp_path: Path) -> None:
    state = {k: v for k, v in state_of("agscSEunet3d").items() if "Slice_SE" not in k or not k.endswith("0.weight")}
    assert "lacks the key EncoderLayer1.encoder_sSE" in refusal(state, tmp_path, model="agscSEunet3d")
    state = {key: value for key, value in state.items() if not key.startswith("EncoderLayer1.encoder_")}
    assert "lacks the key EncoderLayer1.encoder_sSE" in refusal(state, tmp_path, model="agscSEunet3d")


def test_surplus_keys_are_named(tmp_path: Path) -> None:
    state = {**state_of("unet3d"), "more.weight": torch.zeros(1), "more.bias": torch.zeros(1)}
    assert "has 2 keys that unet3d does not have: more.weight, more.bias" in refusal(state, tmp_path)


@pytest.mark.parametrize(
    ("model", "key", "shape", "given"),
    [
        ("unet3d", "EncoderLayer2.basic_module.Conv2.conv.weight", (8, 4), "has no 3D convolution under"),
        ("unet3d", "EncoderLayer2.basic_module.Conv1.conv.weight", (4, 3, 3, 3, 3), "encoders.1.0.0.0.weight"),
        ("vnet", "Encoder_layer1.conv_layer.convblock.0.weight", (2, 3, 5, 5, 5), "encoders.0.shortcut.weight"),
        ("csSEunet3d", "EncoderLayer1.encoder_cSE.fc.0.weight", (3, 4), "gates that fit no reduction"),
        ("csSEunet3d", "EncoderLayer1.encoder_sSE.Slice_SE_encoder.0.fc.2.bias", (31,), "channels of several shapes"),
        (
            "csSEunet3d",
            "EncoderLayer1.encoder_sSE.Slice_SE_encoder.0.fc.0.weight",
            (9, 32),
            "slice gates that fit no",
        ),
    ],
)
def test_shapes_that_fit_no_network_are_named(
    model: str, key: str, shape: tuple[int, ...], given: str, tmp_path: Path
) -> None:
    assert given in refusal({**state_of(model), key: torch.zeros(shape)}, tmp_path)


@pytest.mark.parametrize("order", ["cri", "cgr", "crb", "ci"])
def test_activation_without_weights_must_be_given(order: str, tmp_path: Path) -> None:
    state = state_of("unet3d", order=order)
    assert "an activation without weights leaves no key; pass the --layer_order" in refusal(state, tmp_path)
    converted = convert_checkpoint(saved(state, tmp_path), layer_order=order)
    assert (converted.network_def["act"] == "relu") == ("r" in order)


def test_sorted_keys_leave_the_layer_order_open(tmp_path: Path) -> None:
    state = dict(sorted(state_of("unet3d", order="cip").items()))
    assert "its keys are not in their order" in refusal(state, tmp_path)
    assert convert_checkpoint(saved(state, tmp_path), layer_order="cip").network_def["levels"]["adn_ordering"] == "NDA"
    assert "are 'cip'" in refusal(state, tmp_path, layer_order="cpg")
    gates = dict(sorted(state_of("csSEunet3d", slice_reduction=4).items()))
    assert "csSEunet3d or scSEunet3d or agscSEunet3d, whose" in refusal(gates, tmp_path)


@pytest.mark.parametrize("given", ["cip", "cri", "cpg", "cp"])
def test_layer_order_that_does_not_fit_is_refused(given: str, tmp_path: Path) -> None:
    assert f"layer_order {given!r} does not fit" in refusal(state_of("unet3d"), tmp_path, layer_order=given)


@pytest.mark.parametrize("given", ["rcpi", "cpri", "xcpi", "cpix"])
def test_layer_order_without_a_counterpart_is_refused(given: str, tmp_path: Path) -> None:
    assert "has no counterpart here: it must be c" in refusal(state_of("unet3d"), tmp_path, layer_order=given)


def test_groups_that_no_network_here_has_are_refused(tmp_path: Path) -> None:
    assert "has no counterpart here" in refusal(state_of("unet3d", order="cgp"), tmp_path, groups=4)
    assert "only --groups 8 can be converted" in refusal(state_of("vnet", order="cgp"), tmp_path)
    with pytest.raises(ConvertError, match="groups must be at least 1, got 0"):
        convert_checkpoint(saved(state_of("unet3d"), tmp_path), groups=0)


@pytest.mark.parametrize("gate", ["slice_pooling", "channel_pooling"])
def test_unknown_pooling_is_refused(gate: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"^{gate} must be one of"):
        convert_checkpoint(tmp_path / "x", **{gate: "median"})


def example(folder: Path, model: str = "agscSEunet3d", **options: Any) -> Converted:
    return convert_checkpoint(saved(state_of(model, **options), folder), model=model)


@pytest.mark.parametrize("config", ["inference", "evaluate"])
@pytest.mark.parametrize("model", MODELS)
def test_overlay_builds_the_network_that_the_weights_fit(model: str, config: str, tmp_path: Path) -> None:
    converted = example(tmp_path, model)
    overlay = write_converted(converted, tmp_path / "new" / "weights.pt")
    parser = ConfigParser(ConfigParser.load_config_files([str(Path(ROOT, "configs", f"{config}.json")), str(overlay)]))
    parser["checkpoint"], parser["device"] = str(tmp_path / "new" / "weights.pt"), "cpu"
    state = parser.get_parsed_content("network").state_dict()
    assert all(torch.equal(value, converted.state[key]) for key, value in state.items())
    assert parser["label_names"] == {"class_1": 1, "class_2": 2}


def test_overlay_gives_volumes_the_axes_and_intensities_of_the_original(tmp_path: Path) -> None:
    """The original reads arrays (z, y, x) of volumes whose axes run to the left, back and head, with SimpleITK."""
    voxels = np.random.default_rng(0).normal(5, 2, (9, 10, 11)).astype(np.float32)
    nib.save(nib.Nifti1Image(voxels, np.diag([-1.0, -1, 1, 1])), tmp_path / "case.nii.gz")
    overlay = write_converted(example(tmp_path), tmp_path / "weights.pt")
    parser = ConfigParser(ConfigParser.load_config_files([str(Path(ROOT, "configs", "inference.json")), str(overlay)]))
    got = parser.get_parsed_content("preprocessing")({"image": str(tmp_path / "case.nii.gz")})["image"]
    wanted = (voxels - voxels.mean()) / voxels.std()
    np.testing.assert_allclose(got.numpy()[0], wanted.transpose(2, 1, 0), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("model", "given", "window"),
    [("agscSEunet3d", None, [32, 32, 32]), ("vnet", None, None), ("vnet", (9, 8, 7), [9, 8, 7])],
)
def test_window_is_the_given_one_or_the_slices(
    model: str, given: tuple[int, ...] | None, window: list[int] | None, tmp_path: Path
) -> None:
    overlay = write_converted(example(tmp_path, model), tmp_path / "weights.pt", given)
    assert json.loads(overlay.read_text()).get("roi_size") == window


def test_a_single_channel_is_one_structure(tmp_path: Path) -> None:
    overlay = write_converted(example(tmp_path, "unet3d", out_channels=1), tmp_path / "weights.pt")
    assert json.loads(overlay.read_text())["label_names"] == {"class_1": 1}


def test_bad_output_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    content = state_of("unet3d")
    converted = convert_checkpoint(saved(content, tmp_path, "own.pt"))
    with pytest.raises(ConvertError, match=r"output must end in .pt, got"):
        write_converted(converted, tmp_path / "weights.json")
    with pytest.raises(ConvertError, match="output must be another file than the checkpoint"):
        write_converted(converted, tmp_path / "x" / ".." / "own.pt")
    for roi_size in ((8, 8), (8, 8, 0)):
        with pytest.raises(ConvertError, match="roi_size must be three positive sizes"):
            write_converted(converted, tmp_path / "weights.pt", roi_size)
    assert [file.name for file in tmp_path.iterdir()] == ["own.pt"]


def test_command_writes_weights_and_config_and_logs_what_it_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(commands.logging, "basicConfig", lambda **_: None)
    caplog.set_level("INFO")
    file = saved(state_of("agscSEunet3d", order="crg", fmaps=8), tmp_path)
    output = tmp_path / "weights.pt"
    words = ["convert", str(file), "--output", str(output)]
    assert commands.main(words) == 2
    assert "pass the --layer_order" in caplog.text
    words += ["--model", "agscSEunet3d", "--layer_order", "crg", "--groups", "4", "--roi_size", "32", "40", "48"]
    assert commands.main([*words, "--slice_pooling", "max", "--channel_pooling", "max"]) == 0
    assert "agscSEunet3d, 1 to 3 channels, widths 8 16 32 64, layer order crg" in caplog.text
    overlay = json.loads((tmp_path / "weights.json").read_text())
    assert overlay["roi_size"] == [32, 40, 48]
    assert overlay["network_def"]["norm"] == ["group", {"num_groups": 4}]
    network = ConfigParser(overlay).get_parsed_content("network_def")
    load_weights(network, output)
