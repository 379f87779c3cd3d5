"""Names of version 0.1 that configs may still hold: they work until version 0.3, with a warning."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from typing import Any

REMOVED_IN = "0.3.0"

NAMES: dict[str, dict[str, str]] = {
    "datasets": {
        "CaseCacheDataset": "inference.CaseCacheDataset",
        "CaseDataset": "inference.CaseDataset",
        "DatalistError": "data.DatalistError",
        "PrefetchLoader": "inference.PrefetchLoader",
        "choose_protocol": "deprecated_functions.choose_protocol",
        "class_sampler": "data.class_sampler",
        "collate_cases": "inference.collate_cases",
        "dataset_label_values": "data.dataset_label_values",
        "dataset_labels": "data.dataset_labels",
        "dataset_modalities": "data.dataset_modalities",
        "list_cases": "data.list_cases",
        "list_pictures": "data.list_images",
        "load_datalist": "data.load_datalist",
        "mixed_sampler": "data.mixed_sampler",
        "select_cases": "data.select_cases",
        "select_classified": "data.select_classified",
        "select_mixed_cases": "data.select_mixed_cases",
        "select_pictures": "data.select_images",
    },
    "datasets.disc_candidates": {
        "CandidateDataset": "phantoms.spine.candidate_dataset.CandidateDataset",
        "drawn_spines": "phantoms.spine.candidate_dataset.drawn_spines",
        "listed_spines": "phantoms.spine.candidate_dataset.listed_spines",
        "prior_spines": "phantoms.spine.candidate_dataset.prior_spines",
    },
    "discs": {
        "Candidates": "tasks.spine.discs.Candidates",
        "Disc": "tasks.spine.discs.Disc",
        "DiscFileError": "tasks.spine.discs.DiscFileError",
        "DiscPlacementError": "tasks.spine.discs.DiscPlacementError",
        "LEVEL_NAMES": "tasks.spine.discs.LEVEL_NAMES",
        "SkeletonFileError": "tasks.spine.discs.SkeletonFileError",
        "SkeletonMatch": "tasks.spine.discs.SkeletonMatch",
        "SkeletonPrior": "tasks.spine.discs.SkeletonPrior",
        "anchored_search": "tasks.spine.discs.anchored_search",
        "disc_below": "tasks.spine.discs.disc_below",
        "discs_from_disc_mask": "tasks.spine.discs.discs_from_disc_mask",
        "discs_from_vertebra_masks": "tasks.spine.discs.discs_from_vertebra_masks",
        "draw_label_map": "tasks.spine.discs.draw_label_map",
        "find_candidates": "tasks.spine.discs.find_candidates",
        "from_array": "tasks.spine.discs.from_array",
        "from_totalspineseg": "tasks.spine.discs.from_totalspineseg",
        "json_content": "tasks.spine.discs.describe_discs",
        "level_name": "tasks.spine.discs.level_name",
        "level_number": "tasks.spine.discs.level_number",
        "make_heatmaps": "tasks.spine.discs.make_heatmaps",
        "nearest_voxel": "tasks.spine.discs.nearest_voxel",
        "one_per_level": "tasks.spine.discs.one_per_level",
        "read_csv": "tasks.spine.discs.read_disc_csv",
        "read_discs": "tasks.spine.discs.read_discs",
        "read_json": "tasks.spine.discs.read_disc_json",
        "read_label_map": "tasks.spine.discs.read_label_map",
        "read_markups": "tasks.spine.discs.read_markups",
        "search_skeleton": "tasks.spine.discs.search_skeleton",
        "snap_candidates": "tasks.spine.discs.snap_candidates",
        "to_array": "tasks.spine.discs.to_array",
        "to_totalspineseg": "tasks.spine.discs.to_totalspineseg",
        "write_csv": "tasks.spine.discs.write_disc_csv",
        "write_json": "tasks.spine.discs.write_disc_json",
        "write_label_map": "tasks.spine.discs.write_label_map",
        "write_markups": "tasks.spine.discs.write_markups",
        "write_sidecar": "tasks.spine.discs.write_sidecar",
    },
    "engines": {
        "CaseEvaluator": "inference.CaseEvaluator",
    },
    "experiments": {"deal_folds": "experiments.datalist_with_folds"},
    "handlers": {
        "CaseMetrics": "inference.CaseMetrics",
        "ClassReweighting": "training.ClassReweighting",
        "ClassificationMetrics": "tasks.classification.ClassificationMetrics",
        "CleanStop": "inference.CleanStop",
        "DiscMetrics": "tasks.spine.DiscMetrics",
        "EarlyStop": "training.EarlyStop",
        "EpochSeed": "training.EpochSeed",
        "JobProgress": "inference.JobProgress",
        "NonFiniteError": "training.NonFiniteError",
        "NonFiniteGuard": "training.NonFiniteGuard",
        "PictureMetrics": "tasks.images.ImageMetrics",
        "Progress": "training.Progress",
        "PublishWeights": "training.PublishWeights",
        "RunSummary": "inference.RunSummary",
        "Stopped": "inference.Stopped",
        "TrainingCheckpoint": "training.TrainingCheckpoint",
        "WarmupSchedule": "training.WarmupSchedule",
        "pool_scores": "tasks.classification.pool_scores",
    },
    "inferers": {
        "AutocastInferer": "inference.AutocastInferer",
        "CropAverageInferer": "tasks.classification.CropAverageInferer",
        "PictureTilesInferer": "tasks.images.ImageTilesInferer",
        "PlannedInferer": "inference.PlannedInferer",
        "SlabBatchInferer": "tasks.spine.SlabBatchInferer",
        "SlabInferer": "inference.SlabInferer",
    },
    "losses.candidates": {
        "CandidateLoss": "losses.candidate_loss.CandidateLoss",
    },
    "metrics": {
        "DISC_METRICS": "tasks.spine.DISC_METRICS",
        "DiscComparison": "tasks.spine.DiscComparison",
        "LEVEL_METRICS": "tasks.spine.LEVEL_METRICS",
        "ORIGINAL_METRICS": "tasks.spine.ORIGINAL_METRICS",
        "ORIGINAL_SEGMENTATION_METRICS": "legacy.ORIGINAL_SEGMENTATION_METRICS",
        "OriginalErrors": "tasks.spine.OriginalErrors",
        "PICTURE_METRICS": "metrics.IMAGE_METRICS",
        "PictureScores": "metrics.ImageScores",
        "compare_discs": "tasks.spine.compare_discs",
        "match_points": "tasks.spine.match_points",
        "original_errors": "tasks.spine.original_errors",
        "original_segmentation_metrics": "legacy.original_segmentation_metrics",
        "original_summary": "tasks.spine.original_summary",
        "picture_metrics": "metrics.image_metrics",
        "pooled_interval": "tasks.spine.pooled_interval",
        "summarize_discs": "tasks.spine.summarize_discs",
    },
    "networks": {"load_torchvision_weights": "networks.load_pretrained"},
    "report": {
        "ActivationMaps": "explain.ActivationMaps",
        "ClassMaps": "explain.ClassMaps",
        "ClassTables": "tasks.classification.ClassTables",
        "CurvePlots": "tasks.classification.CurvePlots",
        "GateProfiles": "explain.GateProfiles",
        "SaveActivationd": "explain.SaveActivationd",
        "SaveClassMapsd": "explain.SaveClassMapsd",
        "SaveDiscPictured": "tasks.spine.SaveDiscFigured",
        "SaveGatesd": "explain.SaveGatesd",
        "TrainingGif": "tasks.spine.TrainingGif",
        "draw_curves": "tasks.classification.draw_curves",
        "save_disc_picture": "tasks.spine.save_disc_figure",
        "save_overlay": "visualize.save_overlay",
        "save_preview": "tasks.images.save_preview",
    },
    "resume": {
        "DoneCases": "inference.CompletedCases",
    },
    "transforms": {
        "BackgroundWriter": "inference.BackgroundWriter",
        "BadInputError": "io.BadInputError",
        "ClassProbabilityd": "tasks.classification.ComputeClassProbabilityd",
        "DecodeDiscsd": "tasks.spine.DecodeDiscsd",
        "DiscAnswerd": "tasks.spine.DiscResponsed",
        "DiscTargetsd": "tasks.spine.MakeDiscTargetsd",
        "LoadDiscPointsd": "tasks.spine.LoadDiscPointsd",
        "LoadPictured": "io.LoadColorImaged",
        "LoadVolumed": "io.LoadVolumed",
        "OriginalGrid": "grid.LabelMapAssembler",
        "OriginalGridd": "grid.RestoreGridd",
        "OriginalSized": "tasks.images.RestoreImageSized",
        "PictureAnswerd": "tasks.images.MaskResponsed",
        "PictureAugmentd": "tasks.images.AugmentImaged",
        "RandColord": "tasks.images.RandColord",
        "RandFieldOfViewd": "tasks.spine.RandFieldOfViewd",
        "RandSagittalSlabd": "tasks.spine.RandSagittalSlabd",
        "RandScaleCropd": "tasks.classification.RandScaleCropd",
        "Resampled": "grid.ResampleSpacingd",
        "ResizePictured": "tasks.images.ResizeImaged",
        "SagittalSlabd": "tasks.spine.SagittalSlabd",
        "SagittalSlabsd": "tasks.spine.SagittalSlabsd",
        "SaveCased": "inference.SaveSegmentationd",
        "SaveClassesd": "tasks.classification.SaveClassesd",
        "SaveDiscsd": "tasks.spine.SaveDiscsd",
        "SavePictured": "tasks.images.SaveMaskd",
        "Standardized": "transforms.StandardizeIntensityd",
        "StructureMasksd": "transforms.MakeStructureMasksd",
    },
    "transforms.disc_candidates": {
        "AssignLevelsd": "tasks.spine.label_candidates.AssignLevelsd",
        "LabelCandidatesd": "tasks.spine.label_candidates.LabelCandidatesd",
    },
    "transforms.image_files": {"read_picture": "io.images.read_image"},
    "volume_files": {"series_in": "io.dicom_headers.series_in"},
}
"""The new place, below ``bundle``, of every old name, by its old package."""


ARGUMENTS: dict[str, dict[str, str]] = {
    "inference.CaseDataset": {"done": "completed"},
    "inference.CaseMetrics": {"missed_mm": "unmatched_mm"},
    "inference.CompletedCases": {"parts": "settings"},
    "tasks.images.SaveMaskd": {
        "threshold": "decision#threshold",
        "single_region": "decision#single_region",
        "postfix": "outputs#postfix",
        "probability": "outputs#probability",
        "overlay": "outputs#overlay",
    },
}
"""Renamed arguments of classes; ``"decision#threshold"`` is ``threshold`` in the group ``decision``."""


def deprecated_name(package: str, name: str) -> Any:
    """Return what ``bundle.<package>.<name>`` was called in version 0.1, with a ``FutureWarning``.

    Args:
        package: old package, below ``bundle``.
        name: old name in it.

    Raises:
        AttributeError: when version 0.1 had no such name.
    """
    if name not in NAMES.get(package, {}):
        raise AttributeError(f"module 'bundle.{package}' has no attribute {name!r}")
    module, _, new = NAMES[package][name].rpartition(".")
    warn(f"bundle.{package}.{name}", f"bundle.{module}.{new}")
    found = getattr(import_module(f"bundle.{module}"), new)
    path = f"{module}.{new}"
    return partial(_call_with_renamed, found, ARGUMENTS[path]) if path in ARGUMENTS else found


def _call_with_renamed(target: Callable[..., Any], renamed: Mapping[str, str], *args: Any, **kwargs: Any) -> Any:
    """Call a class with the arguments that it had in version 0.1."""
    arguments: dict[str, Any] = {}
    for name, value in kwargs.items():
        group, _, option = renamed.get(name, name).partition("#")
        if option:
            arguments.setdefault(group, {})[option] = value
        else:
            arguments[group] = value
    return target(*args, **arguments)


def new_name(name: str) -> str:
    """Return what a class or function of version 0.1 is called today."""
    return next((names[name].rpartition(".")[2] for names in NAMES.values() if name in names), name)


def warn(old: str, new: str) -> None:
    """Warn that a name has changed, in the name of the code that asked for it."""
    message = f"{old} is now {new}; the old name will be removed in version {REMOVED_IN}."
    warnings.warn(message, FutureWarning, stacklevel=4)
