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
from bundle.check.fingerprint import fingerprint
from bundle.data.datalist import load_datalist
from bundle.data.datalist_file import Case, datalist_content, write_datalist
from bundle.data.fold_assignment import split_cases
from bundle.data.layouts import read_content
from bundle.data.patients import patients_of
from bundle.utils.memory import available_memory
from bundle.utils.write_json import write_json

from .budget import Schedule, cached_gb, schedule
from .choices import DATA, MEASURED, NNUNET, OPTION, RECIPE, Choice, PlanError
from .dry_run import Measured, measure
from .geometry import chance_of_foreground, choose_patch, is_anisotropic, resampled_sizes, target_spacing
from .intensity import augmentation, has_sides, is_ct, normalization
from .plan_overlay import describe_classes, network_ids, region_ids

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
VALIDATION_CASES = 10

LEAST_TO_HOLD_OUT = 4
"""Fewest patients of which some are held out as test."""


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
        memory_gb: memory in GB that the training may take; None for half of what is available.
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
    device = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    memory = memory_gb if memory_gb is not None else _memory(device)
    root, folder = Path(dataset_dir), Path(output_dir)
    content = _split(root, datalist, folder, test_share, seed)
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
    measured = _measure(plan, print_, sizes, root, folder, device, memory)
    chosen = _choose_budget(plan, measured, folder, root, hours, sizes, memory)
    predicted = _predict(plan, measured, chosen, sizes, memory)
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


def _memory(device: str) -> float:
    if device.startswith("cuda"):
        return torch.cuda.get_device_properties(device).total_memory / 1024**3 * SAFETY
    return available_memory() / 2 / 1024**3


def _split(root: Path, datalist: str | Path | None, folder: Path, test_share: float, seed: int) -> dict[str, Any]:
    """Write the datalist of the plan, and return its content: a test set, and folds of about ten cases."""
    path, content = read_content(root, datalist)
    lists = load_datalist(root, datalist)
    described = {key: content[key] for key in ("modality", "channel_names", "label_values", "labels") if key in content}
    has_folds = any("fold" in item for item in content.get("training", []) if isinstance(item, Mapping))
    if has_folds:
        parts = lists
    else:
        bare = [{key: value for key, value in case.items() if key != "fold"} for case in lists["training"]]
        parts = _assign(root, bare, 0.0 if lists["test"] else test_share, seed)
        parts["test"] += lists["test"]
    written: dict[str, Any] = described | datalist_content(root, parts, seed=seed)
    write_datalist(written, folder / "datalist.json")
    logger.info("%s: split written to %s", path, folder / "datalist.json")
    return content | written


def _assign(root: Path, cases: Sequence[Case], share: float, seed: int) -> dict[str, list[Case]]:
    """Assign cases to a test set and to folds of about ten cases, as far as there are patients for both.

    Of less than :data:`LEAST_TO_HOLD_OUT` patients, none is held out as test. The cases of one patient alone are for
    training and for validation.
    """
    patients = _count_patients(root, cases)
    if patients < 2:
        return {"training": [{**case, "fold": 0} for case in cases], "test": []}
    share = share if patients >= LEAST_TO_HOLD_OUT else 0.0
    training = split_cases(root, cases, test_share=share, folds=2, seed=seed)["training"]
    folds = int(min(max(len(training) / VALIDATION_CASES, 5), 20, _count_patients(root, training)))
    return split_cases(root, cases, test_share=share, folds=folds, seed=seed)


def _count_patients(root: Path, cases: Sequence[Case]) -> int:
    return len({patient or number for number, patient in enumerate(patients_of(cases, root))})


def _choose_data(plan: _Plan, root: Path, folder: Path, content: Mapping[str, Any], print_: Mapping[str, Any]) -> None:
    training, test = content["training"], content["test"]
    folds = len({item["fold"] for item in training})
    reason = "fold 0 is for validation; the test set is for the evaluation alone"
    if folds < 2:
        reason = "one patient: validation on the training cases, which says nothing about others"
        plan.overlay["fold"] = "all"
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
    channels = content.get("modality", content.get("channel_names")) or {"0": "image"}
    names = list(channels.values()) if isinstance(channels, Mapping) else list(channels)
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


def _measure(
    plan: _Plan,
    print_: Mapping[str, Any],
    sizes: np.ndarray,
    root: Path,
    folder: Path,
    device: str,
    memory: float,
) -> Measured:
    """Run a few steps; with a smaller patch again while they take more than the memory."""
    lists = load_datalist(root, folder / "datalist.json")
    ordered = sorted(lists["training"], key=_bytes_of)
    training = [ordered[len(ordered) // 2], ordered[-1]][: len(ordered)]
    for _ in range(TRIES):
        logger.info("dry run with patches of %s ...", _by(plan.overlay["roi_size"]))
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
        f"a patch of {_by(plan.overlay['roi_size'])} takes {measured['peak_gb']:.1f} GB, more "
        f"than {memory:.1f}; pass --memory with more."
    )


def _bytes_of(case: Mapping[str, Any]) -> int:
    from bundle.io.volume_files import content_files, files_of

    return sum(file.stat().st_size for path in files_of(case["image"]) for file in content_files(Path(path)))


def _choose_budget(
    plan: _Plan,
    measured: Mapping[str, float],
    folder: Path,
    root: Path,
    hours: float | None,
    sizes: np.ndarray,
    memory: float,
) -> Schedule:
    folds = [case["fold"] for case in load_datalist(root, folder / "datalist.json")["training"]]
    validation, trains_on_all = folds.count(0), plan.overlay.get("fold") == "all"
    found = schedule(
        measured,
        hours=hours,
        training=len(folds) - (0 if trains_on_all else validation),
        validation=validation,
        batch_size=plan.overlay["batch_size"],
    )
    faster = "bfloat16" if measured["amp"] else "float32"
    plan.choose("precision", faster, "the faster one of bfloat16 and float32", MEASURED, amp=bool(measured["amp"]))
    plan.choose("batch", plan.overlay["batch_size"], "more patches cost more time than they gain on few cases", RECIPE)
    plan.choose(
        "epochs",
        f"{found.epochs} of {found.iterations} iterations",
        f"{measured['step_seconds']:.2f} s a step; " + (f"{hours:g} hours" if hours else "no limit of time"),
        MEASURED if hours is None else f"{MEASURED}, {OPTION}",
        epochs=found.epochs,
        iterations_per_epoch=found.iterations,
        warmup=min(3, max(found.epochs // 10, 1)),
    )
    plan.choose(
        "validation",
        f"every {found.val_interval} epochs",
        f"{measured['validation_seconds'] * validation:.1f} s for {validation} cases; at most 15 % of the time",
        MEASURED,
        val_interval=found.val_interval,
    )
    needed = cached_gb(int(sizes.prod(axis=1).sum()), len(plan.overlay["modalities"]))
    room = max(memory - measured["peak_gb"] + measured["cached_gb"], 0.0)
    budget = round(max(min(needed * 1.3, room) / 2, 0.0), 3)
    fits = (
        "all cases fit" if needed <= room else f"{needed:.1f} GB are needed, the other cases are loaded in every epoch"
    )
    plan.choose("cache", f"{budget:g} GB each", fits, MEASURED, cache_gb=budget if needed > room else None)
    return found


def _predict(
    plan: _Plan, measured: Mapping[str, float], chosen: Schedule, sizes: np.ndarray, memory: float
) -> dict[str, float]:
    needed = cached_gb(int(sizes.prod(axis=1).sum()), len(plan.overlay["modalities"]))
    room = max(memory - measured["peak_gb"] + measured["cached_gb"], 0.0)
    return {
        "epoch_seconds": round(chosen.epoch_seconds, 2),
        "total_seconds": round(chosen.total_seconds, 1),
        "peak_gb": round(measured["peak_gb"] - measured["cached_gb"] + min(needed, room), 2),
    }


def _log(plan: _Plan, predicted: Mapping[str, float], folder: Path, *, explain: bool) -> None:
    for choice in plan.choices:
        logger.info("%s", choice.line(explain=explain))
    logger.info(
        "%-18s %.1f s per epoch, %.0f minutes in total, %.2f GB at most",
        *("expected", predicted["epoch_seconds"], predicted["total_seconds"] / 60, predicted["peak_gb"]),
    )
    overlay = folder / "plan.json"
    logger.info(
        "train with: python -m monai.bundle run --config_file \"['configs/train.json','%s']\" --output_dir OUT", overlay
    )


def _by(values: Sequence[float]) -> str:
    return " x ".join(f"{value:g}" for value in values)
