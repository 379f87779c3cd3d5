"""What holds for every config. A new task is covered by its entry in ``TASKS``, an overlay by its file."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helpers.classified_cases import write_classified
from helpers.disc_cases import write_spines
from helpers.image_cases import write_lesions
from helpers.phantoms import write_case

from bundle import ROOT
from bundle.tasks.spine.discs import level_name

CONFIGS = Path(ROOT, "configs")
WORKFLOWS = ("train", "evaluate", "inference")
"""Workflows that every task has."""

NETWORK_OVERLAYS = {
    "anatomynet": "anatomynet",
    "auto_context": "auto_context",
    "deeplabv3plus": "deeplabv3plus",
    "deepmedic": "deepmedic",
    "deepmedic_wide": "deepmedic",
    "fcn": "fcn",
    "hdenseunet": "hdenseunet",
    "unet2d": "unet",
    "unet_deep": "unet",
    "vnet": "vnet",
    "voxresnet": "voxresnet",
}
"""Overlays that swap the network, and the name of what they swap in, in the contract of the networks."""

DATASET_OVERLAYS = ("bids", "brats2018", "brats2018_regions", "folder", "hvsmr", "malc", "msd")
"""Overlays that point the workflows at a dataset."""

FURTHER_DATASET_OVERLAYS = ("brats2018_published", "ct", "hvsmr_published", "malc_published")
"""Overlays behind those of a dataset: settings of the original project, and of CT."""

TRAINING_OVERLAYS = ("head_labels", "hippocampus_heads")
"""Overlays for the training of the shipped models of whole heads."""

OVERLAYS = (
    "multi_gpu_train.json",
    *(f"networks/{name}.json" for name in NETWORK_OVERLAYS),
    *(f"datasets/{name}.json" for name in (*DATASET_OVERLAYS, *FURTHER_DATASET_OVERLAYS, *TRAINING_OVERLAYS)),
)
"""Overlays of the main task, relative to its folder."""

DISC_NETWORK_OVERLAYS = ("candidates", "hourglass_plain", "shape_unet")
"""Overlays of disc labeling."""

IMAGE_NETWORK_OVERLAYS = ("attention_deeplabv3plus", "contextual_attention_unet", "deeplabv3plus", "unet")
"""Overlays of the segmentation of lesions."""

ALLOWED_EXPRESSIONS = (
    r"\$import [\w.]+( as \w+)?",
    r"\$bundle\.[\w.]+",  # a plain name of this package
    r"\$@(bundle_root|output_dir) \+ '[\w/.]+'",  # a path join
    r"\$not @[\w#]+",
    r"\$bundle\.networks\.load_pretrained\(@network, None if @checkpoint else @pretrained\)",
    r"\$@rank (==|>) 0",
    r"\$max\(@label_names\.values\(\)\) \+ 1",
    r"\$len\(@(modalities|regions|class_names)\)",
    r"\$@network\.parameters\(\)",
    r"\$@average\.network",
    r"\$@given\.enabled",
    r"\$(@[\w#]+|\[1\]) \+ (@[\w#]+|\[@[\w#]+\])",  # a chain of lists
    r"\$@[\w#]+\.(run|exit)\(\)",
    r"\$@tensorboard and @tensorboard\.close\(\)",
    r"\$@(summary|average)\.attach\(@train#trainer\)",
    r"\$monai\.utils\.set_determinism\(seed=@seed\)",
    r"\$monai\.handlers\.from_engine\(\[('\w+'(, )?)+\](, first=True)?\)",
    r"\$torch\.device\('cuda' if torch\.cuda\.is_available\(\) else 'cpu'\)",
    r"\$torch\.device\('cuda:' \+ os\.environ\['LOCAL_RANK'\] if torch\.cuda\.is_available\(\) else 'cpu'\)",
    r"\$'nccl' if torch\.cuda\.is_available\(\) else 'gloo'",
    r"\$dist\.(get_rank|destroy_process_group)\(\)",
)
"""All code that the configs may hold; everything else is data."""

USER_IDS = {
    "train": "bundle_root dataset_dir datalist output_dir checkpoint device attention roi_size epochs batch_size",
    "evaluate": "bundle_root dataset_dir datalist split output_dir checkpoint device attention",
    "inference": "bundle_root input output_dir checkpoint device attention",
    "explain": "bundle_root input output_dir checkpoint device attention",
}
"""What a user changes, before anything else in the file."""

READ_BY_NAME = ("imports", "initialize", "run", "finalize", "cam", "gates", "pool", "preview", "report")
"""Ids that MONAI or a user names; every other one is used somewhere in its file."""

SHARED_SECTIONS = ("attention", "network_def", "network")
"""Ids that mean the same in all three workflows."""


@dataclass(frozen=True)
class Task:
    """What is particular to a task.

    Attributes:
        channels: meaning of the channels that the network puts out, of the config of the inference.
        shared: further ids that mean the same in all three workflows.
        random_steps: how many of the last steps that prepare an image a training replaces by random ones.
        write: write a number of small labeled cases to a folder.
        parameters: most numbers in the weights.
        size: most bytes of their file.
        overlays: files beside the workflows, relative to the folder of the task.
        is_explained: whether the task has the workflow ``explain``.
    """

    channels: Callable[[dict[str, Any]], list[str]]
    shared: tuple[str, ...]
    random_steps: int
    write: Callable[[Path, int], Any]
    parameters: int = 2_000_000
    size: int = 8_000_000
    overlays: tuple[str, ...] = ()
    is_explained: bool = False

    @property
    def workflows(self) -> tuple[str, ...]:
        """Names of the workflows of the task."""
        return (*WORKFLOWS, "explain") if self.is_explained else WORKFLOWS


def _structures(inference: dict[str, Any]) -> list[str]:
    """Return the classes of label maps; the names of the config stand for 1 and on."""
    names = inference["label_names"]
    assert list(names.values()) == list(range(1, len(names) + 1))
    return ["background", *names]


def _foreground(inference: dict[str, Any]) -> list[str]:
    """Return the structures that are told from the background, one per channel."""
    return list(inference["label_names"])


def _class_names(inference: dict[str, Any]) -> list[str]:
    """Return the classes that an image can be of."""
    return inference["class_names"]


def _levels(inference: dict[str, Any]) -> list[str]:
    """Return the names of the discs that the heat maps are of."""
    first = inference["first_level"]
    return [level_name(value) for value in range(first, first + inference["level_count"])]


def _write_volumes(folder: Path, count: int) -> None:
    for number in range(count):
        write_case(folder, f"case{number}")


TASKS = {
    ".": Task(
        _structures,
        ("modalities", "label_names", "roi_size", "pixdim", "spacing_range", "normalization"),
        random_steps=0,
        write=_write_volumes,
        overlays=OVERLAYS,
        is_explained=True,
    ),
    "disc_labeling": Task(
        _levels,
        (
            *("pixdim", "spacing_range", "first_level", "level_count"),
            *("slab_mm", "slab_offsets_mm", "skeleton_file", "skeleton"),
        ),
        random_steps=1,
        write=write_spines,
        overlays=("train_candidates.json", *(f"networks/{name}.json" for name in DISC_NETWORK_OVERLAYS)),
    ),
    "lesion_segmentation": Task(
        _foreground,
        ("label_names", "levels", "roi_size", "activation"),
        random_steps=1,
        write=write_lesions,
        parameters=6_000_000,
        size=25_000_000,
        overlays=tuple(f"networks/{name}.json" for name in IMAGE_NETWORK_OVERLAYS),
    ),
    "cell_segmentation": Task(
        _foreground,
        ("label_names", "levels", "roi_size", "activation"),
        random_steps=1,
        write=write_lesions,
        parameters=6_000_000,
        size=25_000_000,
        overlays=("parts.json",),
    ),
    "lesion_classification": Task(
        _class_names,
        ("class_names", "image_size", "roi_size", "crop_scales"),
        random_steps=1,
        write=write_classified,
        parameters=6_000_000,
        size=25_000_000,
        is_explained=True,
    ),
}
"""The tasks by their folders in ``configs``."""

TASK_WORKFLOWS = tuple((folder, workflow) for folder, task in TASKS.items() for workflow in task.workflows)
"""All workflows of all tasks."""


def read(name: str | Path) -> dict[str, Any]:
    """Return a config of the project as plain data."""
    return json.loads((CONFIGS / name).read_text(encoding="utf-8"))


def config_files() -> list[str]:
    """Return all configs that hold workflows or overlays, relative to ``configs``."""
    files = (
        path
        for path in CONFIGS.rglob("*.json")
        if path.name != "metadata.json" and not path.name.endswith("_split.json")
    )
    return sorted(path.relative_to(CONFIGS).as_posix() for path in files)


def strings(value: Any) -> Iterator[str]:
    """Yield every string in a config, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)


def is_allowed(expression: str) -> bool:
    """Tell whether an expression of a config is on the list."""
    return any(re.fullmatch(pattern, expression) for pattern in ALLOWED_EXPRESSIONS)
