"""Modules of version 0.1 that have moved: imports of them work until version 0.3, with a warning."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from .deprecated_names import NAMES, deprecated_name, new_name, warn

MODULES = {
    "attention.factory": "attention.attention_factory",
    "attention.split": "attention.split_attention",
    "check.command": "cli.check_command",
    "check.page": "check.html_page",
    "check.pictures": "check.image_reader",
    "check.points": "check.disc_points_check",
    "check.statistics": "check.dataset_statistics",
    "check.tables": "check.console_report",
    "check.volumes": "check.volume_reader",
    "compare": "experiments.compare",
    "compare.options": "experiments.compare.comparison_options",
    "compare.plan": "experiments.compare.comparison_plan",
    "compare.runs": "experiments.compare.comparison_runs",
    "compare.statistics": "experiments.compare.comparison_statistics",
    "compare.tables": "experiments.compare.comparison_tables",
    "crossval": "experiments.crossval",
    "crossval.command": "cli.crossval_command",
    "crossval.ensemble": "experiments.crossval.fold_ensemble",
    "crossval.plan": "experiments.crossval.crossval_plan",
    "crossval.runs": "experiments.crossval.fold_runs",
    "crossval.scores": "experiments.crossval.fold_scores",
    "crossval.tables": "experiments.crossval.crossval_tables",
    "datasets.bids": "data.bids",
    "datasets.brats2018": "data.brats2018",
    "datasets.candidate_simulation": "phantoms.spine.candidate_simulation",
    "datasets.case_dataset": "inference.case_dataset",
    "datasets.classified": "data.classified_images",
    "datasets.datalist": "data.datalist",
    "datasets.dataset_info": "data.dataset_info",
    "datasets.disc_candidates": "phantoms.spine.candidate_dataset",
    "datasets.errors": "data.datalist_file",
    "datasets.hvsmr": "data.hvsmr",
    "datasets.isic": "data.isic",
    "datasets.malc": "data.malc",
    "datasets.mixed": "data.mixed_cases",
    "datasets.modalities": "data.modalities",
    "datasets.msd": "data.msd",
    "datasets.ph2": "data.ph2",
    "datasets.picture_cases": "data.input_cases",
    "datasets.picture_folder": "data.image_folder",
    "datasets.pictures": "data.pairing",
    "datasets.prefetch": "inference.prefetch",
    "datasets.protocol": "deprecated_functions",
    "datasets.segpc": "data.segpc",
    "datasets.spine_acquisition": "phantoms.spine.spine_acquisition",
    "datasets.spine_anatomy": "phantoms.spine.spine_anatomy",
    "datasets.spine_contrast": "phantoms.spine.spine_contrast",
    "datasets.spine_exams": "tasks.spine.spine_exams",
    "datasets.spine_generic": "tasks.spine.spine_generic",
    "datasets.spine_geometry": "phantoms.spine.spine_geometry",
    "datasets.spine_grid": "phantoms.spine.spine_grid",
    "datasets.spine_phantom": "phantoms.spine.spine_phantom",
    "datasets.spine_render": "phantoms.spine.spine_render",
    "datasets.spine_sizes": "phantoms.spine.spine_sizes",
    "datasets.spine_surroundings": "phantoms.spine.spine_surroundings",
    "datasets.spine_tables": "phantoms.spine.spine_tables",
    "datasets.split": "data.split",
    "datasets.volume_lists": "data.volume_lists",
    "datasets.volume_phantom_anatomy": "phantoms.volumes.volume_anatomy",
    "datasets.volume_phantom_layouts": "phantoms.volumes.dataset_layouts",
    "datasets.volume_phantoms": "phantoms.volumes.volume_phantoms",
    "discs.assignment": "tasks.spine.discs.level_assignment",
    "discs.candidates": "tasks.spine.discs.peak_candidates",
    "discs.errors": "tasks.spine.discs.disc_errors",
    "discs.exam_json": "tasks.spine.discs.disc_json",
    "discs.from_masks": "tasks.spine.discs.discs_from_masks",
    "discs.heatmaps": "tasks.spine.discs.heatmaps",
    "discs.label_map": "tasks.spine.discs.disc_label_map",
    "discs.levels": "tasks.spine.discs.levels",
    "discs.markups": "tasks.spine.discs.markups",
    "discs.points": "tasks.spine.discs.disc_points",
    "discs.reader": "tasks.spine.discs.disc_reader",
    "discs.search": "tasks.spine.discs.skeleton_search",
    "discs.sidecar": "tasks.spine.discs.disc_label_map",
    "discs.skeleton": "tasks.spine.discs.skeleton",
    "discs.snap": "tasks.spine.discs.snap",
    "discs.tables": "tasks.spine.discs",
    "engines.case_evaluator": "inference.case_evaluator",
    "experiments.configs": "experiments.experiment_configs",
    "experiments.folder": "experiments.experiment_folder",
    "experiments.folds": "experiments.fold_datalist",
    "experiments.options": "experiments.experiment_options",
    "experiments.running": "experiments.config_runner",
    "experiments.tables": "experiments.experiment_tables",
    "handlers.case_metrics": "inference.case_metrics",
    "handlers.checkpoint": "training.checkpoint",
    "handlers.classification_metrics": "tasks.classification.classification_handler",
    "handlers.disc_metrics": "tasks.spine.disc_metrics_handler",
    "handlers.early_stop": "training.early_stop",
    "handlers.guard": "training.non_finite_guard",
    "handlers.job_progress": "inference.job_progress",
    "handlers.picture_metrics": "tasks.images.image_metrics_handler",
    "handlers.progress": "training.progress",
    "handlers.publish": "training.publish",
    "handlers.reweighting": "training.reweighting",
    "handlers.schedule": "training.schedule",
    "handlers.seed": "training.epoch_seed",
    "handlers.stop": "inference.clean_stop",
    "handlers.summary": "inference.summary",
    "inferers.autocast": "inference.autocast",
    "inferers.crop_average": "tasks.classification.crop_average",
    "inferers.ensemble": "inference.window_ensemble",
    "inferers.picture_tiles": "tasks.images.image_tiles",
    "inferers.plan": "inference.plan",
    "inferers.plan_cache": "inference.plan_cache",
    "inferers.plan_run": "inference.plan_run",
    "inferers.plan_search": "inference.plan_search",
    "inferers.slab": "inference.slab",
    "inferers.slab_batch": "tasks.spine.slab_batch",
    "inferers.windows": "inference.windows",
    "label_values": "io.label_tables",
    "losses.candidates": "losses.candidate_loss",
    "losses.checks": "losses.loss_checks",
    "losses.contextual": "losses.contextual_loss",
    "losses.heatmap": "losses.heatmap_loss",
    "losses.segmentation": "losses.segmentation_loss",
    "losses.skeletal": "losses.skeletal_loss",
    "losses.targets": "losses.mask_targets",
    "metrics.classification": "metrics.classification_metrics",
    "metrics.disc_summary": "tasks.spine.disc_statistics",
    "metrics.discs": "tasks.spine.disc_metrics",
    "metrics.original_discs": "tasks.spine.original_disc_metrics",
    "metrics.original_segmentation": "legacy.original_segmentation_metrics",
    "metrics.pictures": "metrics.image_metrics",
    "metrics.segmentation": "metrics.segmentation_metrics",
    "metrics.statistics": "metrics.bootstrap",
    "networks.aspp": "networks.blocks.aspp",
    "networks.attention_pyramid": "networks.blocks.attention_pyramid",
    "networks.average": "networks.weight_average",
    "networks.contextual_head": "networks.blocks.contextual_head",
    "networks.conv_norm": "networks.blocks.convolution",
    "networks.convert": "legacy.convert",
    "networks.ensemble": "networks.network_ensemble",
    "networks.factory": "networks.network_factory",
    "networks.fused": "networks.blocks.fused",
    "networks.norm": "networks.blocks.norm",
    "networks.original": "legacy.original_checkpoints",
    "networks.padding": "networks.blocks.padding",
    "networks.patch_transformer": "networks.blocks.patch_transformer",
    "networks.resnet_trunk": "networks.backbones.resnet",
    "networks.torchvision_weights": "networks.backbones.pretrained",
    "networks.trunk_base": "networks.backbones.trunk",
    "networks.trunks": "networks.backbones.trunk_factory",
    "networks.vgg": "networks.backbones.vgg",
    "networks.xception": "networks.backbones.xception",
    "pack": "export.pack",
    "pack_configs": "export.pack_configs",
    "records": "inference.case_record",
    "report.activation": "explain",
    "report.cases": "explain.matplotlib_check",
    "report.class_activation": "explain.class_activation",
    "report.class_tables": "tasks.classification.class_tables",
    "report.curves": "tasks.classification.curves",
    "report.disc_case": "tasks.spine.save_figure",
    "report.disc_pictures": "tasks.spine.disc_figures",
    "report.gates": "explain",
    "report.isic_submission": "tasks.images.isic_submission",
    "report.model_card": "export.model_card",
    "report.network_table": "export.network_table",
    "report.overlay": "visualize.overlay",
    "report.preview": "tasks.images.preview",
    "report.training_gif": "tasks.spine.training_gif",
    "resume": "inference.completed_cases",
    "switches": "utils.parse_bool",
    "transforms.background": "inference.background_writer",
    "transforms.checks": "io.input_checks",
    "transforms.class_probability": "tasks.classification.class_probability",
    "transforms.corner_rule": "grid.corner_rule",
    "transforms.dicom": "io.dicom",
    "transforms.dicom_seg": "io.dicom_seg",
    "transforms.disc_answer": "tasks.spine.disc_response",
    "transforms.disc_augment": "tasks.spine.disc_augment",
    "transforms.disc_candidates": "tasks.spine.label_candidates",
    "transforms.disc_decode": "tasks.spine.disc_decode",
    "transforms.disc_points": "tasks.spine.load_disc_points",
    "transforms.disc_targets": "tasks.spine.disc_targets",
    "transforms.grids": "grid.grids",
    "transforms.image_files": "io.images",
    "transforms.itk": "io.itk",
    "transforms.label_files": "io.label_maps",
    "transforms.label_map": "io.label_classes",
    "transforms.load": "io.load_volume",
    "transforms.load_image": "io.load_image",
    "transforms.midline": "tasks.spine.midline",
    "transforms.picture_answer": "tasks.images.mask_response",
    "transforms.picture_augment": "tasks.images.image_augment",
    "transforms.picture_overlay": "tasks.images.mask_overlay",
    "transforms.picture_table": "tasks.images.image_table",
    "transforms.rand_color": "tasks.images.rand_color",
    "transforms.resample": "grid.resample",
    "transforms.resize_picture": "tasks.images.resize_image",
    "transforms.sagittal_slab": "tasks.spine.sagittal_slab",
    "transforms.save": "inference.save_segmentation",
    "transforms.save_classes": "tasks.classification.save_classes",
    "transforms.save_discs": "tasks.spine.save_discs",
    "transforms.save_picture": "tasks.images.save_mask",
    "transforms.scale_crops": "tasks.classification.scale_crops",
    "transforms.way_back": "grid.original_grid",
    "volume_files": "io.volume_files",
}
"""Today's module of every module of version 0.1 that has moved, both below ``bundle``."""

PACKAGES = ("datasets", "discs", "engines", "handlers", "inferers", "report")
"""Packages of version 0.1 that are gone."""


class MovedModule(ModuleType):
    """A module of version 0.1: its names lead to their new places, each with a ``FutureWarning``."""

    def __getattr__(self, name: str) -> Any:
        old = self.__name__.removeprefix("bundle.")
        if name in NAMES.get(old, {}) or name.startswith("__") or old not in MODULES:
            return deprecated_name(old, name)
        module = import_module(f"bundle.{MODULES[old]}")
        new = name if hasattr(module, name) else new_name(name)
        value = getattr(module, new)
        warn(f"bundle.{old}.{name}", f"{module.__name__}.{new}")
        return value


class MovedModuleFinder(MetaPathFinder, Loader):
    """Find :data:`MODULES` and :data:`PACKAGES`.

    It comes first in ``sys.meta_path``: a checkout that was updated may still hold their folders, empty but for
    ``__pycache__``, which Python would import as namespace packages.
    """

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> Any:
        """Return the specification of a module of version 0.1, or None."""
        old = fullname.removeprefix("bundle.")
        if not fullname.startswith("bundle.") or (old not in MODULES and old not in PACKAGES):
            return None
        return ModuleSpec(fullname, self, is_package=any(name.startswith(f"{old}.") for name in MODULES))

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return an empty module that looks its names up when they are asked for."""
        return MovedModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Do nothing: see :class:`MovedModule`."""
