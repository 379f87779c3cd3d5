"""Planning of a training: fingerprint, choices, a measured dry run, and the overlay."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bundle.check.dataset_check import read_dataset
from bundle.check.findings import Reading
from bundle.check.fingerprint import fingerprint
from bundle.data.datalist import load_datalist
from bundle.utils.memory import available_memory
from bundle.utils.write_json import write_json

from .budget import Cache, Schedule, plan_cache, schedule
from .choices import DATA, MEASURED, NNUNET, OPTION, RECIPE, Choice, PlanError
from .dry_run import Measured, measure
from .geometry import chance_of_foreground, choose_patch, is_anisotropic, resampled_sizes, target_spacing
from .intensity import augmentation, has_sides, is_ct, normalization
from .plan_overlay import channel_names, describe_classes, network_ids, region_ids
from .plan_split import LEAST_TO_HOLD_OUT, write_split

logger = logging.getLogger(__name__)

BASE_GB = 0.75
"""Memory of a process with torch and MONAI, before any case is loaded."""

BYTES_PER_VOXEL = 1500
"""Memory of a training step per voxel of a patch, of the network of the plans in float32 on a CPU."""

MOST_VOXELS = 160**3
TRIES = 4
SAFETY = 0.9
"""Share of the memory that a plan may take by the measured run."""

OFTEN = 0.9
"""Chance of foreground in a uniform patch from which none is drawn around it."""

FOREGROUND_SHARE = 0.33


@dataclass
class _Plan:
    """A plan in the making."""

    overlay: dict[str, Any] = field(default_factory=dict)
    choices: list[Choice] = field(default_factory=list)

    def choose(self, name: str, value: Any, reason: str, source: str, **ids: Any) -> None:
        self.choices.append(Choice(name, value, reason, source))
        self.overlay.update(ids)


def plan_training(
    dataset_dir: str | Path,
    output_dir: str | Path,
    *,
    datalist: str | Path | None = None,
    hours: float | None = None,
    memory_gb: float | None = None,
    device: str = "auto",
    test_share: float = 0.2,
    seed: int = 0,
    workers: int | None = None,
    explain: bool = False,
) -> dict[str, Any]:
    """Plan a training and write ``plan.json``, an overlay, ``datalist.json`` and ``choices.json``.

    Args:
        dataset_dir: folder of the dataset, in any layout of :func:`bundle.data.layouts.read_content`.
        output_dir: folder to write to.
        datalist: JSON file in MSD form, whose test cases and folds are kept; None to read the folder and to split it.
        hours: hours for the training; None for no limit.
        memory_gb: memory in GB that the training may take, on a GPU its memory; None for half of what is available, on
            a GPU for 90 % of what it has.
        device: ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ...; ``"auto"`` for the GPU if there is one.
        test_share: share of the cases to hold out, where the dataset has no labeled test set.
        seed: seed of the split.
        workers: cases that are read at a time.
        explain: log the source of every choice, too.

    Returns:
        The content of ``choices.json``: ``choices``, ``predicted``, ``measured`` and ``fingerprint``.

    Raises:
        DatalistError: when the dataset cannot be listed.
        PlanError: when no case can be trained on, or no training fits into the hours or the memory.
    """
    if hours is not None and not hours > 0:
        raise PlanError(f"--hours must be more than 0, got {hours:g}.")
    if not 0 <= test_share < 1:
        raise PlanError(f"--test_share must be 0 or more and less than 1, got {test_share:g}.")
    device = _usable_device(device)
    memory = memory_gb if memory_gb is not None else _memory(device)
    root, folder = Path(dataset_dir), Path(output_dir)
    content = write_split(root, datalist, folder / "datalist.json", test_share=test_share, seed=seed)
    _, readings, names = read_dataset(root, folder / "datalist.json", workers=workers)
    print_ = fingerprint([reading for reading in readings if reading.item.split != "test"], names)
    if not print_:
        raise PlanError(f"{root}: no labeled volume can be read; python -m bundle check {root} names what is wrong.")
    faults = sum(len(reading.faults) for reading in readings)
    if faults:
        logger.warning("%s: %d faults; python -m bundle check %s lists them", root, faults, root)
    plan = _Plan()
    _choose_data(plan, root, folder, content, print_)
    sizes = _choose_geometry(plan, print_, memory)
    cases = load_datalist(root, folder / "datalist.json")["training"]
    usable = _usable(cases, readings)
    measured = _measure(plan, print_, sizes, usable, device, memory)
    room = _cache_room(device, measured, memory)
    chosen, cache = _choose_budget(plan, measured, cases, hours, sizes, room)
    predicted = _predict(measured, chosen, cache, device)
    result = {
        "choices": [vars(choice) for choice in plan.choices],
        "predicted": predicted,
        "measured": measured,
        "device": device,
        "memory_gb": memory,
        "hours": hours,
        "fingerprint": print_,
    }
    write_json(folder / "plan.json", plan.overlay)
    write_json(folder / "choices.json", result)
    _log(plan, predicted, folder, explain=explain)
    return result


def _usable_device(device: str) -> str:
    """Return the device that is meant.

    Raises:
        PlanError: when there is no such device.
    """
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        kind = torch.device(device).type
    except RuntimeError:
        kind = ""
    if kind == "cpu" or (kind == "cuda" and torch.cuda.is_available()):
        return device
    raise PlanError(f"--device {device} is not available; pass cpu, cuda or cuda:1 on a machine with a GPU, or auto.")


def _memory(device: str) -> float:
    if device.startswith("cuda"):
        return torch.cuda.get_device_properties(device).total_memory / 1024**3 * SAFETY
    return available_memory() / 2 / 1024**3


def _choose_data(plan: _Plan, root: Path, folder: Path, content: Mapping[str, Any], print_: Mapping[str, Any]) -> None:
    training, test = content["training"], content["test"]
    numbers = {item["fold"] for item in training}
    held_out, folds = min(numbers), len(numbers)
    reason = f"fold {held_out} is for validation; the test set is for the evaluation alone"
    if folds < 2:
        reason = "one patient: validation on the training cases, which says nothing about others"
    if folds < 2 or held_out:
        plan.overlay["fold"] = "all" if folds < 2 else held_out
    if not test:
        reason += "; too few patients for a test set" if folds < LEAST_TO_HOLD_OUT else "; no test set"
    plan.choose(
        "cases",
        f"{len(training)} in {folds} folds, {len(test)} test",
        reason,
        DATA,
        dataset_dir=str(root.resolve()),
        datalist=str((folder / "datalist.json").resolve()),
    )
    names = channel_names(content, len(print_["inside"]))
    classes = describe_classes(content, print_["structures"])
    reason = "names and values of the dataset" if content.get("labels") else "values in the label maps"
    plan.choose("structures", ", ".join(classes["label_names"]), reason, DATA, modalities=names, **classes)
    regions = region_ids(content.get("regions"))
    if regions:
        plan.choose("regions", ", ".join(regions["regions"]), "nested: one sigmoid per region", DATA, **regions)


def _choose_geometry(plan: _Plan, print_: Mapping[str, Any], memory: float) -> np.ndarray:
    """Choose spacing, patch, network and intensities; return the sizes of the cases in voxels of the plan."""
    spacing = target_spacing(print_["spacing"], print_["size"])
    median = np.median(np.array(print_["spacing"]), axis=0)
    changed = any(abs(a - b) > 1e-3 for a, b in zip(spacing, median, strict=True))
    reason = "median per axis" + (", 10th percentile along the thick slices" if changed else "")
    low, high = float(np.min(print_["spacing"])), float(np.max(print_["spacing"]))
    accepted = [round(min(low / 2, 0.2), 4), round(max(high * 2, 5.0), 4)]
    plan.choose("spacing", _by(spacing), reason, NNUNET, pixdim=spacing, spacing_range=accepted)
    sizes = resampled_sizes(print_["spacing"], print_["size"], spacing)
    plan.overlay["batch_size"] = 2
    _choose_patch(plan, print_, sizes, memory)
    names, ct = plan.overlay["modalities"], is_ct(plan.overlay["modalities"], print_)
    transform, reason = normalization(ct, print_["inside"])
    target = transform["_target_"].split(".")[-1]
    plan.choose("normalization", target, reason, NNUNET if ct else RECIPE, normalization=transform)
    sided = has_sides(plan.overlay["label_names"])
    reason = "structures have sides" if sided else "no structure is named after a side"
    plan.choose(
        "mirroring",
        "none" if sided else "left-right",
        reason,
        DATA,
        augmentation=augmentation(spacing, ct=ct, mirror=not sided),
    )
    flat = "rotated and scaled in the plane of the slices alone" if is_anisotropic(spacing) else "in all axes"
    plan.choose("augmentation", "CT" if ct else "MRI", f"{flat}; {len(names)} channels", RECIPE)
    smallest = min(print_["structures"].items(), key=lambda item: item[1]["volume_ml"])
    reason = (
        f"Dice weighs small structures, such as {smallest[0]} of {smallest[1]['volume_ml']:.3g} ml, like large ones"
    )
    plan.choose("loss", "dice_ce", reason, NNUNET, loss_name="dice_ce")
    return sizes


def _choose_patch(plan: _Plan, print_: Mapping[str, Any], sizes: np.ndarray, memory: float, voxels: int = 0) -> None:
    spacing = plan.overlay["pixdim"]
    room = max(memory * SAFETY - BASE_GB, 0.2) * 1024**3 / BYTES_PER_VOXEL / plan.overlay["batch_size"]
    limit = voxels or int(min(room, MOST_VOXELS))
    extents = np.max([found["extent_mm"] for found in print_["structures"].values()], axis=0).tolist()
    median = np.median(sizes, axis=0).astype(int).tolist()
    patch, strides = choose_patch(median, spacing, limit, extents)
    plan.choices = [choice for choice in plan.choices if choice.name not in ("patch", "network", "sampling")]
    covered = all(side * step >= mm for side, step, mm in zip(patch, spacing, extents, strict=True))
    reason = f"median image {_by(median)}, at most {limit:,} voxels for {memory:.1f} GB"
    reason += f"; {'covers' if covered else 'is smaller than'} the largest structure, {_by(extents)} mm"
    plan.choose("patch", _by(patch), reason, NNUNET, roi_size=patch)
    network = network_ids(strides, spacing, len(plan.overlay["modalities"]))
    plan.overlay.pop("network_def#levels", None)
    shown = f"{len(strides) + 1} levels, strides {' '.join(''.join(map(str, steps)) for steps in strides)}"
    reason = (
        "an axis is halved while it has 8 voxels and is at most twice as coarse as the finest; slice attention along "
    )
    thick = network["attention"][1]["slice_dim"] if isinstance(network["attention"], list) else 2
    plan.choose("network", shown, reason + "RAS"[thick], NNUNET, **network)
    name, chance = chance_of_foreground(patch, sizes, spacing, print_["structures"])
    share = FOREGROUND_SHARE if chance < OFTEN else 0.0
    reason = f"about {chance:.0%} of uniform patches meet {name}, the rarest structure"
    plan.choose("sampling", f"{share:.0%} around structures", reason, NNUNET, foreground_share=share)


def _usable(cases: Sequence[Mapping[str, Any]], readings: Sequence[Reading]) -> list[Mapping[str, Any]]:
    """Return the cases without a fault, by the size of their files."""
    sound = {reading.item.label for reading in readings if not reading.faults and "structures" in reading.facts}
    found = [case for case in cases if str(case["label"]) in sound]
    if not found:
        raise PlanError("every training case has a fault; python -m bundle check names them.")
    return sorted(found, key=_bytes_of)


def _measure(
    plan: _Plan,
    print_: Mapping[str, Any],
    sizes: np.ndarray,
    ordered: Sequence[Mapping[str, Any]],
    device: str,
    memory: float,
) -> Measured:
    """Run a few steps; with a smaller patch again while they take more than the memory."""
    training = [ordered[len(ordered) // 2], ordered[-1]][: len(ordered)]
    for _ in range(TRIES):
        shown = _by(plan.overlay["roi_size"])
        logger.info("dry run with patches of %s ...", shown)
        measured = measure(plan.overlay, training, ordered[-1:], device)
        if measured["peak_gb"] <= memory:
            return measured
        patch = math.prod(plan.overlay["roi_size"])
        room = max(memory * SAFETY - BASE_GB, 0.05) / max(measured["peak_gb"] - BASE_GB, 0.1)
        smaller = int(patch * min(room, 0.8))
        _choose_patch(plan, print_, sizes, memory, max(smaller, 1))
        if math.prod(plan.overlay["roi_size"]) >= patch:
            break
    raise PlanError(
        f"a patch of {shown} takes {measured['peak_gb']:.1f} GB, more than {memory:.1f}; pass --memory with more."
    )


def _bytes_of(case: Mapping[str, Any]) -> int:
    from bundle.io.volume_files import content_files, files_of

    return sum(file.stat().st_size for path in files_of(case["image"]) for file in content_files(Path(path)))


def _cache_room(device: str, measured: Mapping[str, float], memory: float) -> float:
    """Return the memory in GB for cached cases: that of the process on a CPU; next to a GPU, half of the free one."""
    if device.startswith("cuda"):
        return available_memory() / 2 / 1024**3
    return max(memory - measured["peak_gb"] + measured["cached_gb"], 0.0)


def _choose_budget(
    plan: _Plan,
    measured: Mapping[str, float],
    cases: Sequence[Mapping[str, Any]],
    hours: float | None,
    sizes: np.ndarray,
    room: float,
) -> tuple[Schedule, Cache]:
    fold = plan.overlay.get("fold", 0)
    validation = len(cases) if fold == "all" else sum(case["fold"] == fold for case in cases)
    training = len(cases) - (0 if fold == "all" else validation)
    cache = plan_cache(int(sizes.prod(axis=1).sum()), len(plan.overlay["modalities"]), room, training, validation)
    batch = plan.overlay["batch_size"]
    found = schedule(measured, hours=hours, training=training, validation=validation, batch_size=batch, cache=cache)
    faster = "bfloat16" if measured["amp"] else "float32"
    plan.choose("precision", faster, "the faster one of bfloat16 and float32", MEASURED, amp=bool(measured["amp"]))
    plan.choose("batch", batch, "more patches cost more time than they gain on few cases", RECIPE)
    loading = f", {found.step_seconds - measured['step_seconds']:.2f} s of it to load cases" if cache.training else ""
    plan.choose(
        "epochs",
        f"{found.epochs} of {found.iterations} iterations",
        f"{found.step_seconds:.2f} s a step{loading}; " + (f"{hours:g} hours" if hours else "no limit of time"),
        MEASURED if hours is None else f"{MEASURED}, {OPTION}",
        epochs=found.epochs,
        iterations_per_epoch=found.iterations,
        warmup=min(3, max(found.epochs // 10, 1)),
    )
    plan.choose(
        "validation",
        f"every {found.val_interval} epochs",
        f"{found.validation_seconds:.1f} s for {validation} cases; at most 15 % of the time",
        MEASURED,
        val_interval=found.val_interval,
    )
    fits = f"{cache.needed_gb:.1f} GB are needed, the other cases are loaded in every epoch"
    fits = "all cases fit" if cache.gb is None else fits
    plan.choose("cache", f"{cache.shown_gb:g} GB each", fits, MEASURED, cache_gb=cache.gb)
    return found, cache


def _predict(measured: Mapping[str, float], chosen: Schedule, cache: Cache, device: str) -> dict[str, float]:
    """Return the expected seconds and memory; ``peak_gb`` is that of the GPU where one is used, without the cache."""
    of_step = measured["peak_gb"] - (0.0 if device.startswith("cuda") else measured["cached_gb"])
    return {
        "epoch_seconds": round(chosen.epoch_seconds, 2),
        "total_seconds": round(chosen.total_seconds, 1),
        "peak_gb": round(of_step + (0.0 if device.startswith("cuda") else cache.held_gb), 2),
        "cache_gb": round(cache.held_gb, 2),
    }


def _log(plan: _Plan, predicted: Mapping[str, float], folder: Path, *, explain: bool) -> None:
    for choice in plan.choices:
        logger.info("%s", choice.line(explain=explain))
    logger.info(
        "%-18s %.1f s per epoch, %.0f minutes in total, %.2f GB at most, %.2f GB of cached cases",
        *("expected", predicted["epoch_seconds"], predicted["total_seconds"] / 60),
        *(predicted["peak_gb"], predicted["cache_gb"]),
    )
    overlay = folder / "plan.json"
    logger.info(
        "train with: python -m monai.bundle run --config_file \"['configs/train.json','%s']\" --output_dir OUT", overlay
    )


def _by(values: Sequence[float]) -> str:
    return " x ".join(f"{value:g}" for value in values)
