"""The tasks that the server offers, and the choice of those that fit a study folder."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from bundle import ROOT
from bundle.inference.case_findings import flat_names
from bundle.inference.plausibility import REGION, Plausibility
from bundle.io.label_tables import HIGHEST
from bundle.tasks.spine.discs.levels import LEVEL_NAMES
from bundle.utils.label_names import ignored_value, structures_of
from bundle.utils.write_json import write_json
from bundle.workflow.model_folder import WEIGHTS, ModelFolder

from .label_kinds import CLASSES, LABEL_MAP, MARKUPS
from .server_errors import StudiesError

logger = logging.getLogger(__name__)

VOLUME, IMAGE = "volume", "image"

EXTENSIONS = {
    VOLUME: (".nii.gz", ".nii", ".nrrd", ".mha", ".zip"),
    IMAGE: (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp"),
}
"""File extensions by kind of image; a zip archive contains a DICOM series."""

REGION_OPTIONS = {"find_regions": True, "measure_features": True}
"""Options of ``inference.json`` for weights that segment regions but have no plausible results of their own."""

FORMAT_NAMES = {VOLUME: "volumes (NIfTI, NRRD, MetaImage, DICOM as .zip)", IMAGE: "2D images (JPEG, PNG, TIFF, BMP)"}


@dataclass(frozen=True)
class LabelTask:
    """A task of the bundle as the server offers it.

    Attributes:
        name: name of the model for clients.
        folder: its folder in ``configs/`` and ``models/``; empty for the main task.
        kind: kind of its images, :data:`VOLUME` or :data:`IMAGE`.
        type: ``"segmentation"`` or ``"classification"``.
        work: working folder of this task.
        root: bundle root.
        model: folder of a training whose weights and settings are served; None for the shipped ones.
    """

    name: str
    folder: str
    kind: str
    type: str = "segmentation"
    work: Path = Path()
    root: Path = Path(ROOT)
    model: Path | None = None

    @property
    def config_dir(self) -> Path:
        """Folder of ``inference.json``, ``train.json``, ``evaluate.json`` and ``metadata.json``."""
        return self.root / "configs" / self.folder

    @property
    def shipped_weights(self) -> Path:
        """Weights of the bundle or of the model folder; the server never changes them."""
        if self.model is not None:
            return self.model / WEIGHTS
        return self.root / "models" / self.folder / "model.pt"

    @property
    def trained_weights(self) -> Path:
        """Weights that were trained on these studies or uploaded; they replace the shipped ones."""
        return self.work / "model.pt"

    @property
    def served_weights(self) -> Path:
        """The weights in use: the trained ones if they exist, else the shipped ones."""
        return self.trained_weights if self.trained_weights.is_file() else self.shipped_weights

    @property
    def missing_files(self) -> list[Path]:
        """Required files that do not exist."""
        required = (self.config_dir / "inference.json", self.config_dir / "metadata.json", self.shipped_weights)
        return [path for path in required if not path.is_file()]

    @cached_property
    def config(self) -> dict[str, Any]:
        """Content of ``inference.json``."""
        return self.read_config("inference.json")

    @cached_property
    def metadata(self) -> dict[str, Any]:
        """Content of ``metadata.json``."""
        metadata = self._read("metadata.json")
        if self.model is None:
            return metadata
        return {**metadata, "description": f"weights of {self.model.name}: {', '.join(self.labels)}"}

    def read_config(self, name: str) -> dict[str, Any]:
        """Read a workflow in :attr:`config_dir`, with the settings of the model folder if there is one.

        Labels of the server hold the values of the classes, whatever values the training has read.
        """
        config = self._read(name)
        if self.model is None:
            return config
        return {**config, **ModelFolder.read(self.model).config, "label_values": None}

    def config_file(self, name: str) -> Path:
        """Return the file of a workflow; with a model folder it is written to :attr:`work`."""
        if self.model is None:
            return self.config_dir / name
        folder = self.work / "configs"
        folder.mkdir(parents=True, exist_ok=True)
        for file in ("metadata.json", "logging.conf"):
            shutil.copyfile(self.config_dir / file, folder / file)
        write_json(folder / name, self.read_config(name))
        return folder / name

    def _read(self, name: str) -> dict[str, Any]:
        return dict(json.loads((self.config_dir / name).read_text(encoding="utf-8")))

    @property
    def labels(self) -> dict[str, int]:
        """Values of the structures in the label maps, by name, without the background."""
        if "label_names" in self.config:
            return structures_of(self.config["label_names"])
        if "first_level" in self.config:
            first, count = self.config["first_level"], self.config["level_count"]
            return {LEVEL_NAMES[number]: number for number in range(first, first + count)}
        if "class_names" in self.config:
            return {name: number for number, name in enumerate(self.config["class_names"])}
        channels = self._read("metadata.json")["network_data_format"]["outputs"]["pred"]["channel_def"]
        return {name: int(value) for value, name in channels.items() if name != "background"}

    @property
    def region_labels(self) -> dict[str, dict[str, int]]:
        """Values of the structures, by name, of every region that is found in a larger image, such as a head."""
        offsets = self.config.get("region_offsets", {}) if self.model is None else {}
        return {
            region: {name: value + offset for name, value in self.labels.items()} for region, offset in offsets.items()
        }

    @property
    def all_labels(self) -> dict[str, int]:
        """All values that label maps can contain, by name: those of a crop, and those of the regions of an image."""
        return {**self.labels, **flat_names(self.region_labels)}

    @property
    def finds_regions(self) -> bool:
        """Whether regions are found in larger images: if the shipped weights know plausible results of regions."""
        return bool(self.region_labels) and Plausibility(self.shipped_weights).is_known(REGION)

    @property
    def weight_options(self) -> dict[str, Any]:
        """Options of ``inference.json`` for the served weights, by config id.

        Trained weights segment what the shipped ones segment, so that regions are found for them, too.
        """
        return {"checkpoint": str(self.served_weights), **(REGION_OPTIONS if self.finds_regions else {})}

    @property
    def label_kinds(self) -> tuple[str, ...]:
        """Kinds of labels that the task can use, see :mod:`.label_kinds`; the preferred one is the first."""
        if self.type == "classification":
            return (CLASSES,)
        return (MARKUPS, LABEL_MAP) if self.has_points else (LABEL_MAP,)

    @property
    def has_points(self) -> bool:
        """Whether its label maps contain one voxel per structure."""
        return "first_level" in self.config

    @cached_property
    def ignore_value(self) -> int | None:
        """Value of unlabeled voxels in label maps for training and evaluation; None if it cannot ignore any."""
        config = self.read_config("evaluate.json")
        if self.kind == IMAGE or "ignore_label" not in config:
            return None
        return config["ignore_label"] or ignored_value(config["label_names"]) or HIGHEST

    @property
    def levels(self) -> list[int]:
        """Gray level of every structure in masks."""
        return list(self.config.get("levels", self.all_labels.values()))


TASKS = (
    LabelTask("volumes", "", VOLUME),
    LabelTask("discs", "disc_labeling", VOLUME),
    LabelTask("lesions", "lesion_segmentation", IMAGE),
    LabelTask("lesion_classes", "lesion_classification", IMAGE, "classification"),
    LabelTask("cells", "cell_segmentation", IMAGE),
)
"""All tasks of the bundle; a task is offered if its configs and weights exist."""


def served_tasks(model: str | Path | None = None) -> tuple[LabelTask, ...]:
    """Return the tasks that can be served: all of the bundle, or the one of a model folder.

    Args:
        model: folder that a training has written.

    Raises:
        ModelFolderError: if the folder cannot be used.
    """
    if model is None:
        return TASKS
    folder = Path(model).resolve()
    name = ModelFolder.read(folder).task
    return tuple(replace(task, model=folder) for task in TASKS if (task.folder or "volumes") == name)


def parse_models(text: str | None) -> list[str] | None:
    """Return the names in a comma-separated list, or None for None.

    Raises:
        StudiesError: if a name is not that of a task.
    """
    if text is None:
        return None
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in {task.name for task in TASKS}]
    if unknown or not names:
        raise StudiesError(
            f"--models {text!r}: {', '.join(unknown) or 'an empty list'} is not a model of this bundle; "
            f"choose from {', '.join(task.name for task in TASKS)}."
        )
    return names


def choose_tasks(
    studies: str | Path, models: Sequence[str] | None = None, tasks: Iterable[LabelTask] = TASKS
) -> list[LabelTask]:
    """Return the tasks to offer for a study folder: the given ones, or all that fit its images.

    Args:
        studies: folder that contains volumes or 2D images, not in subfolders.
        models: names of tasks; None for all that fit.
        tasks: the tasks to choose from.

    Raises:
        StudiesError: if the folder does not exist, the kind of its images is unclear, a given task does not fit or
            lacks a file, or no task can be offered.
    """
    by_name = {task.name: task for task in tasks}
    absent = [name for name in models or () if name not in by_name]
    if absent:
        raise StudiesError(f"--models {', '.join(absent)}: the model folder is of {', '.join(by_name)}.")
    chosen = [by_name[name] for name in models] if models else list(by_name.values())
    kind = _detect_kind(Path(studies), chosen if models else [])
    unsuitable = [task.name for task in chosen if task.kind != kind]
    if models and unsuitable:
        suitable = [task.name for task in by_name.values() if task.kind == kind]
        raise StudiesError(
            f"{studies}: contains {FORMAT_NAMES[kind]}, which {', '.join(unsuitable)} cannot read; "
            f"pass --models with some of {', '.join(suitable)}, or another --studies."
        )
    offered = []
    for task in chosen:
        if task.kind != kind:
            continue
        if not task.missing_files:
            offered.append(task)
        elif models:
            raise StudiesError(f"--models {task.name}: {task.missing_files[0]} does not exist; train the task first.")
        else:
            logger.info("%s is not offered: %s does not exist", task.name, task.missing_files[0])
    if not offered:
        raise StudiesError(
            f"{studies}: contains {FORMAT_NAMES[kind]}, and models/ has no weights for them; train a task first."
        )
    return offered


def find_images(studies: Path, kind: str) -> list[Path]:
    """List the images of one kind in a folder, without subfolders."""
    return sorted(
        file
        for file in studies.iterdir()
        if file.is_file() and file.name.lower().endswith(EXTENSIONS[kind]) and not file.name.startswith(".")
    )


def _detect_kind(studies: Path, chosen: Sequence[LabelTask]) -> str:
    """Return the kind of the images in a folder; if there are none, or both kinds, that of the chosen tasks."""
    if not studies.is_dir():
        raise StudiesError(f"{studies}: is not a folder; pass --studies with the folder of your images.")
    found = [kind for kind in EXTENSIONS if find_images(studies, kind)]
    requested = sorted({task.kind for task in chosen})
    if len(found) == 1:
        return found[0]
    if len(requested) == 1:
        return requested[0]
    if not found:
        raise StudiesError(
            f"{studies}: contains neither {FORMAT_NAMES[VOLUME]} nor {FORMAT_NAMES[IMAGE]}; "
            "put images into it, or choose --models."
        )
    raise StudiesError(
        f"{studies}: contains volumes and 2D images, but a server serves one kind; pass --models of one kind, or "
        "another --studies."
    )
