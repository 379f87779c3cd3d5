"""Conversion of checkpoints of the code that the progressive attention module was published with.

From keys and shapes follow the network, its widths, the layer order, the number of slices and the reductions of the 11
models of https://github.com/Puzzled-Hui/AttentionBased-MIS. The converted network gives the logits of the original for
a batch of one volume, the only batch that all of its models run.

Kept from the original: its slices lie along the first spatial axis, and no gradient flows through the key slices. What
it calls maximum pooling is average pooling in some gates; they are converted to what they compute.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from bundle.attention.squeeze import POOLINGS
from bundle.networks.attention_unet import AttentionUNet
from bundle.networks.attention_vnet import AttentionVNet
from bundle.utils.check_choice import check_choice

from .original_checkpoints import ACTS, LAYERS, MODELS, SLICED, ConvertError, OriginalState, WeightMover, true_pooling

WRAPPINGS = ("state_dict", "model_state_dict", "model", "network", "net")
SLICE_GATE, CHANNEL_GATE = r"sSE\.Slice_SE_encoder\.\d+\.fc\.0", r"cSE\.fc\.0"


@dataclass(frozen=True)
class Converted:
    """A converted checkpoint.

    Args:
        file: the checkpoint.
        model: name of the original model.
        state: weights under the names of this package.
        network_def: config of the network that they fit.
        found: what was recovered, in one line.
    """

    file: Path
    model: str
    state: dict[str, torch.Tensor]
    network_def: dict[str, Any]
    found: str


def convert_checkpoint(
    file: str | Path,
    *,
    model: str | None = None,
    slice_pooling: str = "avg",
    channel_pooling: str = "avg",
    layer_order: str | None = None,
    groups: int = 2,
) -> Converted:
    """Read a checkpoint of the original project and return weights and config of the same network here.

    Args:
        file: state dict, bare or under one of :data:`WRAPPINGS`, with or without the prefix ``module.``.
        model: name of the original model, of :data:`bundle.legacy.original_checkpoints.MODELS`; needed where two have
            the same keys and the file has not the name that the original gave it.
        slice_pooling: ``--se_slice_pooling_type`` of the training: ``"avg"``, ``"max"`` or ``"avg_and_max"``.
        channel_pooling: ``--se_channel_pooling_type`` of the training, the same choice.
        layer_order: ``--layer_order`` of the training; needed where the activation has no weights.
        groups: ``--group_normnumber`` of the training, for a layer order with g. Of a V-Net it is the number of the
            bottleneck alone, all other layers have 8.

    Raises:
        ConvertError: when the file is missing, is no such checkpoint, lacks a key or has one too many, or leaves open
            what it was trained with; when ``groups`` is not positive.
        ValueError: when a pooling is unknown.
    """
    if groups < 1:
        raise ConvertError(f"groups must be at least 1, got {groups}.")
    poolings = {"slice": slice_pooling, "channel": channel_pooling}
    for gate, pooling in poolings.items():
        check_choice(f"{gate}_pooling", pooling, POOLINGS)
    source = OriginalState(Path(file), _read_state(Path(file)))
    name = _model_of(source, model)
    kind, mechanism = MODELS[name]
    order = _layer_order_of(source, kind, layer_order)
    options = _attention_options(source, kind, mechanism, poolings)
    if kind == "vnet" and "g" in order and groups != 8:
        raise ConvertError(
            f"groups {groups} of checkpoint {file} has no counterpart here: the original has them in the bottleneck "
            "of its V-Nets and 8 in all other layers; only --groups 8 can be converted."
        )
    options |= _layer_options(order, groups)
    mover = WeightMover(source, order, mechanism, poolings)
    shape = mover.unet() if kind == "unet" else mover.vnet()
    shape["levels"]["adn_ordering"] = "D".join("A" if letter in ACTS else "N" for letter in order[1:])
    network_def = {"_target_": f"bundle.networks.{NETWORKS[kind].__name__}", "spatial_dims": 3, **shape, **options}
    state = _checked(source, name, NETWORKS[kind], network_def, mover.state)
    return Converted(source.file, name, state, network_def, _describe(name, order, network_def))


def write_converted(converted: Converted, output: str | Path, roi_size: Sequence[int] | None = None) -> Path:
    """Write the weights to ``output`` and, next to them, an overlay config of the same name that ends in ``.json``.

    The overlay follows ``inference.json`` or ``evaluate.json``. It sets the network, numbered ``label_names``, the
    window, the axes of the original (slices from inferior to superior, rows, columns) and its intensities, which are
    standardized over all voxels and without clipping.

    Args:
        converted: result of :func:`convert_checkpoint`.
        output: file to write, ``.pt``.
        roi_size: window in voxels, in the order of the axes of the original; by default as many voxels per side as
            there are slices, and that of the config if the weights do not depend on the number of slices.

    Returns:
        The overlay.

    Raises:
        ConvertError: when ``output`` does not end in ``.pt`` or is the checkpoint itself, or ``roi_size`` is not three
            positive sizes.
    """
    target = Path(output)
    if target.suffix != ".pt":
        raise ConvertError(f"output must end in .pt, got {output}.")
    if target.resolve() == converted.file.resolve():
        raise ConvertError(f"output must be another file than the checkpoint to convert, got {output}.")
    if roi_size is not None and (len(roi_size) != 3 or min(roi_size) < 1):
        raise ConvertError(f"roi_size must be three positive sizes, got {list(roi_size)}.")
    window = list(roi_size) if roi_size is not None else converted.network_def["spatial_size"]
    overlay = {
        "label_names": {f"class_{value}": value for value in range(1, max(converted.network_def["out_channels"], 2))},
        **({"roi_size": window} if window else {}),
        "network_def": converted.network_def,
        "preprocessing#transforms#1#axcodes": "SPL",
        "crop_border": False,
        "normalization#percentiles": None,
        "normalization#exclude_border": False,
    }
    target.parent.mkdir(parents=True, exist_ok=True)
    torch.save(converted.state, target)
    config = target.with_suffix(".json")
    config.write_text(json.dumps(overlay, indent=4) + "\n", encoding="utf-8")
    return config


NETWORKS: dict[str, type[AttentionUNet] | type[AttentionVNet]] = {"unet": AttentionUNet, "vnet": AttentionVNet}


def _read_state(file: Path) -> dict[str, torch.Tensor]:
    """Return the state dict in a file, without the prefixes of ``DataParallel``."""
    if not file.is_file():
        raise ConvertError(f"checkpoint {file} does not exist.")
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ConvertError(
            f"checkpoint {file} cannot be read as a file of weights; if it holds a whole module, load it in the "
            f"original project and save its state_dict(): {error}"
        ) from error
    while isinstance(content, Mapping) and any(isinstance(content.get(key), Mapping) for key in WRAPPINGS):
        content = next(content[key] for key in WRAPPINGS if isinstance(content.get(key), Mapping))
    if not isinstance(content, Mapping) or not content or not all(map(torch.is_tensor, content.values())):
        raise ConvertError(f"checkpoint {file} holds no state dict, neither bare nor under {', '.join(WRAPPINGS)}.")
    return {str(key).removeprefix("module."): value for key, value in content.items()}


def _model_of(source: OriginalState, model: str | None) -> str:
    """Return the name of the original model: the given one, or the one that keys, shapes and file name determine."""
    fitting = _fitting(source)
    stem = source.file.stem
    saved_as = stem.rpartition("_net_")[2].replace("_", "") if "_net_" in stem else ""
    named = [name for name in fitting if name.lower() == (model or saved_as).lower()]
    if model and not named:
        raise ConvertError(f"model {model!r} does not fit checkpoint {source.file}, which is {' or '.join(fitting)}.")
    if len(fitting) > 1 and not named:
        raise ConvertError(
            f"checkpoint {source.file} is {' or '.join(fitting)}, whose keys are the same; name one with --model."
        )
    return (named or fitting)[0]


def _fitting(source: OriginalState) -> list[str]:
    """Return the models that keys and shapes fit.

    Raises:
        ConvertError: when there is none.
    """
    layers = {"EncoderLayer1": "unet", "Encoder_layer1": "vnet"}
    kind = next((layers[part] for part in (key.partition(".")[0] for key in source.keys) if part in layers), None)
    if kind is None:
        raise ConvertError(
            f"checkpoint {source.file} is of no model of the original project: no key begins with "
            f"{' or '.join(layers)}, the first is {source.keys[0]}."
        )
    if any(".attention_module." in key for key in source.keys):
        raise ConvertError(
            f"checkpoint {source.file} was trained with --use_spatial_attention; attention gates in addition to the "
            "progressive attention have no counterpart here."
        )
    mechanisms: set[str | None] = {None}
    if any(".pe_layer." in key for key in source.keys):
        mechanisms = {"pe"}
    elif any("Slice_SE" in key for key in source.keys):
        mechanisms = _slice_mechanisms(source, kind)
    elif any("cSE." in key for key in source.keys):
        mechanisms = {"se"}
    return [name for name, (own, mechanism) in MODELS.items() if own == kind and mechanism in mechanisms]


def _slice_mechanisms(source: OriginalState, kind: str) -> set[str | None]:
    """Return the slice mechanisms that the order of the keys and the hidden units allow.

    U-Nets list the gates in the order in which they run, V-Nets do not. The reduction of the progressive attention is
    not limited by the number of slices, so that no hidden unit may be left; that of the others is.
    """
    pairs = source.hidden(SLICE_GATE)
    allowed: set[str | None] = {"csa", "sca"} if _reduction(pairs, limited=True) else set()
    allowed |= {"pam"} if _reduction(pairs, limited=False) else set()
    gates = [key for key in source.keys if key.startswith("EncoderLayer1.encoder_")]
    if kind == "unet" and source.in_order and gates:
        allowed &= {"csa"} if "cSE" in gates[0] else {"sca", "pam"}
    if not allowed:
        raise ConvertError(f"checkpoint {source.file} has slice gates that fit no reduction: {sorted(pairs)}.")
    return allowed


def _reduction(pairs: Iterable[tuple[int, int]], *, limited: bool) -> int | None:
    """Return the largest ratio that gives all pairs of inputs and hidden units, or None."""
    sizes = sorted(pairs)
    for ratio in range(max((size for size, _ in sizes), default=0) + 1, 0, -1):
        if all(size // (min(ratio, size) if limited else ratio) == hidden for size, hidden in sizes):
            return ratio
    return None


def _attention_options(
    source: OriginalState, kind: str, mechanism: str | None, poolings: Mapping[str, str]
) -> dict[str, Any]:
    """Return the options of the network for the attention, and those that depend on it."""

    def reduction(layer: str, limited: bool = True) -> int:
        pairs = source.hidden(layer)
        ratio = _reduction(pairs, limited=limited)
        if ratio is None:
            raise ConvertError(f"checkpoint {source.file} has gates that fit no reduction: {sorted(pairs)}.")
        return ratio

    decoder: dict[str, Any] = {"upsample": "linear" if mechanism in ("pe", "pam") else "nearest"}
    options: dict[str, Any] = {"attention": None, "spatial_size": None}
    if mechanism == "pe":
        pe = {"reduction": reduction(r"pe_layer\.conv_c"), "projection": "mean", "act": "prelu"}
        options["attention"], decoder["attention"] = ["pe", pe], None
    elif mechanism is not None:
        channel = {"reduction": reduction(CHANNEL_GATE), "pooling": poolings["channel"]}
        options["attention"] = ["se", channel]
        if kind == "vnet":
            options["bottleneck"] = {"attention": ["se", channel]}
    if mechanism in SLICED:
        gates: dict[str, Any] = {"slice_dim": 0, **({"key_gradient": False} if mechanism == "pam" else {})}
        ratios = {"slice": reduction(SLICE_GATE, limited=mechanism != "pam"), "channel": channel["reduction"]}
        for gate, pooling in poolings.items():
            gates |= {f"{gate}_reduction": ratios[gate], f"{gate}_pooling": true_pooling(mechanism, gate, pooling)[0]}
        slices = max((size for size, _ in source.hidden(SLICE_GATE)), default=1)
        options |= {"attention": [mechanism, gates], "spatial_size": [slices] * 3}
    if kind == "vnet":
        return {**options, "upsample_adn": True}
    return {**options, "decoder": decoder}


def _layer_order_of(source: OriginalState, kind: str, layer_order: str | None) -> str:
    """Return the layer order: c (convolution), then at most one norm (i, g, b) and one activation in any order.

    The keys determine the layers with weights, and their order unless the keys were sorted.
    """
    unit = {"unet": "EncoderLayer1.basic_module.Conv1.", "vnet": "Bottleneck_layer."}[kind]
    names = dict.fromkeys(key.removeprefix(unit).partition(".")[0] for key in source.keys if key.startswith(unit))
    seen = [letter for name in names for letter, layer in LAYERS.items() if layer == name]
    if layer_order is None and ("p" not in seen or not source.in_order):
        why = "its keys are not in their order" if "p" in seen else "an activation without weights leaves no key"
        raise ConvertError(
            f"checkpoint {source.file} does not determine its layer order, since {why}; pass the --layer_order of "
            "the training."
        )
    order = "".join(seen) if layer_order is None else layer_order
    weighted = [letter for letter in order if letter in LAYERS]
    if weighted != seen if source.in_order else sorted(weighted) != sorted(seen):
        raise ConvertError(
            f"layer_order {order!r} does not fit checkpoint {source.file}, whose layers with weights are "
            f"{''.join(seen)!r}."
        )
    kinds = "".join("A" if letter in ACTS else "N" if letter in LAYERS else "?" for letter in order[1:])
    if order[:1] != "c" or kinds not in ("", "A", "N", "AN", "NA"):
        raise ConvertError(
            f"layer_order {order!r} of checkpoint {source.file} has no counterpart here: it must be c and after it at "
            f"most one of i, g, b and one of {', '.join(ACTS)}."
        )
    return order


def _layer_options(order: str, groups: int) -> dict[str, Any]:
    """Return the options of the network for activation and norm."""
    norms: dict[str, Any] = {"i": "instance", "b": "batch", "g": ["group", {"num_groups": groups}]}
    return {
        "act": next((ACTS[letter] for letter in order if letter in ACTS), None),
        "norm": next((norms[letter] for letter in order if letter in norms), None),
    }


def _checked(
    source: OriginalState,
    name: str,
    network: type[AttentionUNet] | type[AttentionVNet],
    network_def: Mapping[str, Any],
    state: Mapping[str, torch.Tensor],
) -> dict[str, torch.Tensor]:
    """Return the weights in the order of the network, if nothing is left of the source and every shape fits."""
    if source.left:
        some = ", ".join(list(source.left)[:3])
        raise ConvertError(f"checkpoint {source.file} has {len(source.left)} keys that {name} does not have: {some}.")
    try:
        with torch.device("meta"):
            own = network(**{key: value for key, value in network_def.items() if key != "_target_"}).state_dict()
    except ValueError as error:
        raise ConvertError(f"checkpoint {source.file} has no counterpart here: {error}") from error
    wrong = [key for key in own if key not in state or own[key].shape != state[key].shape]
    if wrong:
        raise ConvertError(
            f"checkpoint {source.file} has shapes that {name} does not have: they do not fit {', '.join(wrong[:3])} "
            f"of a network of {network_def['in_channels']} to {network_def['out_channels']} channels and the widths "
            f"{network_def['channels']}."
        )
    return {key: state[key] for key in own}


def _describe(name: str, order: str, network_def: Mapping[str, Any]) -> str:
    channels = f"{network_def['in_channels']} to {network_def['out_channels']} channels"
    widths = " ".join(str(width) for width in network_def["channels"])
    slices = f", {network_def['spatial_size'][0]} slices" if network_def["spatial_size"] else ""
    attention = json.dumps(network_def["attention"])
    return f"{name}, {channels}, widths {widths}, layer order {order}, attention {attention}{slices}"
