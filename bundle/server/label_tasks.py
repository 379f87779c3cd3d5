"""The tasks that can be served, and which of them fit a folder of studies."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from bundle import ROOT
from bundle.tasks.spine.discs.levels import LEVEL_NAMES

from .server_errors import StudiesError

logger = logging.getLogger(__name__)

VOLUME, PICTURE = "volume", "picture"

ENDINGS = {
    VOLUME: (".nii.gz", ".nii", ".nrrd", ".mha", ".zip"),
    PICTURE: (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp"),
}
"""Endings of the images of a study by their kind; a zip archive holds a DICOM series."""

SHOWN = {VOLUME: "volumes (NIfTI, NRRD, MetaImage, DICOM as .zip)", PICTURE: "pictures (JPEG, PNG, TIFF, BMP)"}


@dataclass(frozen=True)
class LabelTask:
    """A task as it is served.

    Attributes:
        name: of the model, as clients see it.
        folder: its folder in ``configs/`` and ``models/``; empty for the main task.
        kind: :data:`VOLUME` or :data:`PICTURE`, what an image is.
        type: ``"segmentation"`` or ``"classification"``, as MONAI Label names it.
        work: folder for what the server writes about this task.
        root: bundle root.
    """

    name: str
    folder: str
    kind: str
    type: str = "segmentation"
    work: Path = Path()
    root: Path = Path(ROOT)

    @property
    def config_dir(self) -> Path:
        """Folder that holds ``inference.json``, ``train.json``, ``evaluate.json`` and ``metadata.json``."""
        return self.root / "configs" / self.folder

    @property
    def shipped(self) -> Path:
        """The weights of the bundle; the server never writes them."""
        return self.root / "models" / self.folder / "model.pt"

    @property
    def weights(self) -> Path:
        """The weights that were trained on these studies; served in place of the shipped ones where they are there."""
        return self.work / "model.pt"

    @property
    def served(self) -> Path:
        """The weights to answer with now."""
        return self.weights if self.weights.is_file() else self.shipped

    @property
    def missing(self) -> list[Path]:
        """The files that are not there, though the task needs them."""
        needed = (self.config_dir / "inference.json", self.config_dir / "metadata.json", self.shipped)
        return [path for path in needed if not path.is_file()]

    @cached_property
    def config(self) -> dict[str, Any]:
        """``inference.json`` as it stands in the file."""
        return dict(json.loads((self.config_dir / "inference.json").read_text(encoding="utf-8")))

    @cached_property
    def metadata(self) -> dict[str, Any]:
        """``metadata.json``."""
        return dict(json.loads((self.config_dir / "metadata.json").read_text(encoding="utf-8")))

    @property
    def labels(self) -> dict[str, int]:
        """Value of every structure in the label maps, by its name."""
        if "label_names" in self.config:
            return dict(self.config["label_names"])
        if "first_level" in self.config:
            first, count = self.config["first_level"], self.config["level_count"]
            return {LEVEL_NAMES[number]: number for number in range(first, first + count)}
        channels = self.metadata["network_data_format"]["outputs"]["pred"]["channel_def"]
        return {name: int(value) for value, name in channels.items() if name != "background"}


TASKS = (
    LabelTask("volumes", "", VOLUME),
    LabelTask("discs", "disc_labeling", VOLUME),
    LabelTask("lesions", "lesion_segmentation", PICTURE),
    LabelTask("lesion_classes", "lesion_classification", PICTURE, "classification"),
    LabelTask("cells", "cell_segmentation", PICTURE),
)
"""All tasks of the bundle; one is served where its configs and weights are there."""


def parse_models(text: str | None) -> list[str] | None:
    """Return the names in a list with commas, or None for None.

    Raises:
        StudiesError: when a name is of no task.
    """
    if text is None:
        return None
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in {task.name for task in TASKS}]
    if unknown or not names:
        raise StudiesError(
            f"--models {text!r}: {', '.join(unknown) or 'nothing'} is no model of this bundle; "
            f"there are {', '.join(task.name for task in TASKS)}."
        )
    return names


def choose_tasks(
    studies: str | Path, models: Sequence[str] | None = None, tasks: Iterable[LabelTask] = TASKS
) -> list[LabelTask]:
    """Return the tasks to serve for a folder of studies: those named, or all that fit its images.

    Args:
        studies: folder with volumes or pictures directly in it.
        models: names of tasks; None for all that fit.
        tasks: the tasks that there are.

    Raises:
        StudiesError: when the folder is none or does not tell what its images are, a named task does not fit or lacks
            a file, or none is left.
    """
    known = {task.name: task for task in tasks}
    chosen = [known[name] for name in models] if models else list(known.values())
    kind = _kind(Path(studies), chosen if models else [])
    wrong = [task.name for task in chosen if task.kind != kind]
    if models and wrong:
        fitting = [task.name for task in known.values() if task.kind == kind]
        raise StudiesError(
            f"{studies}: holds {SHOWN[kind]}, and {', '.join(wrong)} cannot read them; "
            f"pass --models with some of {', '.join(fitting)}, or another --studies."
        )
    offered = []
    for task in chosen:
        if task.kind != kind:
            continue
        if not task.missing:
            offered.append(task)
        elif models:
            raise StudiesError(f"--models {task.name}: {task.missing[0]} does not exist; train the task first.")
        else:
            logger.info("%s is left out: %s does not exist", task.name, task.missing[0])
    if not offered:
        raise StudiesError(f"{studies}: holds {SHOWN[kind]}, and no model for them is there.")
    return offered


def images_of(studies: Path, kind: str) -> list[Path]:
    """List the images of one kind directly in a folder."""
    return sorted(
        file
        for file in studies.iterdir()
        if file.is_file() and file.name.lower().endswith(ENDINGS[kind]) and not file.name.startswith(".")
    )


def _kind(studies: Path, chosen: Sequence[LabelTask]) -> str:
    """Return what the images of a folder are; where it holds none, or both, the chosen tasks tell."""
    if not studies.is_dir():
        raise StudiesError(f"{studies}: is no folder; pass --studies with the folder of your images.")
    found = [kind for kind in ENDINGS if images_of(studies, kind)]
    asked = sorted({task.kind for task in chosen})
    if len(found) == 1:
        return found[0]
    if len(asked) == 1:
        return asked[0]
    if not found:
        raise StudiesError(
            f"{studies}: holds neither {SHOWN[VOLUME]} nor {SHOWN[PICTURE]}; put images directly into it, or say "
            "with --models what will come."
        )
    raise StudiesError(
        f"{studies}: holds volumes and pictures; one server serves one kind: pass --models of one kind, or another "
        "--studies."
    )
