"""Adapt the configs of a task to a standalone bundle.

In a pack the configs of every task are in ``configs/`` and its weights in ``models/``, as MONAI's tools expect.
MONAI Label's stock app (monailabel 0.8.5) needs six changes:

- It sets ``train#trainer#max_epochs``. The schedule of the learning rate refers to it.
- It reads ``train#handlers`` as dictionaries. References are resolved.
- It serves ``models/model.pt``. A successful training replaces this file.
- Trained weights segment the regions of an image as the packed ones do: ``find_regions`` and ``measure_features`` are
  true instead of ``"auto"``, which needs plausible results of the weights themselves.
- It does not add the pack to the path before ``initialize``: the first step of a workflow moves to ``run``.
- It runs ``post_transforms`` instead of ``postprocessing``. It has the same steps except those that write files, since
  the app writes the response.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

Config = dict[str, Any]

ROOT_FINDER = {"_target_": "bundle.export.pack.root_of", "pack": "@_meta_#pack"}
"""Default ``bundle_root`` of a pack; ``_meta_`` is the metadata next to the config."""

RESPONSES: Mapping[str, Config] = {
    "bundle.tasks.spine.SaveDiscsd": {"_target_": "bundle.tasks.spine.DiscResponsed", "keys": "discs"},
    "bundle.tasks.images.SaveMaskd": {"_target_": "bundle.tasks.images.MaskResponsed", "keys": "pred", "saver": None},
}
"""The step that makes a response of a server, by the step that writes the file; ``saver`` is the latter."""

START = "bundle.workflow.StartWorkflow"
"""The first step of every workflow."""

RUNS = ("run", "cam", "gates", "pool", "preview")
"""Ids that a user runs."""

SAVE_MASK = "bundle.tasks.images.SaveMaskd"
MASK_OPTIONS = {"result_extension": ".png"}
"""Masks are PNG for images of every format; the default of the app is JPEG for a JPEG."""

PUBLISH = {
    "_target_": "bundle.training.PublishWeights",
    "source": "$@output_dir + '/model.pt'",
    "target": "@published",
}


def rewrite_paths(text: str, task: str) -> str:
    """Replace the folders of a task by those of a pack; ``"."`` is the main task."""
    return text if task == "." else re.sub(rf"\b(configs|models|runs)/{re.escape(task)}/", r"\1/", text)


def adapt_config(name: str, config: Config, *, finds_regions: bool = False) -> Config:
    """Return the config of a pack.

    Args:
        name: name of the file, relative to the folder of the task.
        config: config of the project, with the paths of a pack.
        finds_regions: whether the packed weights know plausible results of regions.
    """
    changes = {"train.json": _adapt_train, "inference.json": _adapt_inference}
    config = json.loads(json.dumps(config))
    if "bundle_root" in config:
        config["bundle_root"] = ROOT_FINDER
    if name in changes:
        changes[name](config)
    _move_start(config)
    if finds_regions and "find_regions" in config:
        config |= {"find_regions": True, "measure_features": True}
    if not re.search(r'"\$[^"]*\bbundle\.', json.dumps(config)):
        _drop_import(config)
    return config


def _move_start(config: Config) -> None:
    """Start a workflow when it runs: MONAI adds the pack to the path after ``initialize``."""
    steps = config.get("initialize", [])
    starts = [step for step in steps if isinstance(step, dict) and step["_target_"] == START]
    if starts:
        config["initialize"] = [step for step in steps if step not in starts]
        for name in RUNS:
            config |= {name: [*starts, *config[name]]} if name in config else {}


def _adapt_train(config: Config) -> None:
    trainer, schedule = config["train"]["trainer"], config.get("lr_scheduler", {})
    if schedule.get("epochs") == trainer["max_epochs"]:
        schedule["epochs"] = "@train#trainer#max_epochs"
    handlers = [_resolve_handler(handler, config) for handler in config["train"]["handlers"]]
    config["train"]["handlers"] = [*handlers, dict(PUBLISH)]
    items = list(config.items())
    place = list(config).index("output_dir") + 1
    items.insert(place, ("published", "$@bundle_root + '/models/model.pt'"))
    config.clear()
    config.update(items)


def _resolve_handler(handler: Config | str, config: Config) -> Config:
    """Return the definition of a handler, since MONAI Label cannot read a reference.

    If another id refers to the same definition, there are two instances. This is right for handlers that keep their
    state in their arguments, such as :class:`bundle.training.ClassReweighting`.
    """
    return dict(config[handler.removeprefix("@")]) if isinstance(handler, str) else handler


def _adapt_inference(config: Config) -> None:
    places = dict(_places("@postprocessing#transforms", config["postprocessing"]["transforms"]))
    kinds = places.values()
    steps: list[Any] = []
    for step, kind in places.items():
        if not kind.rpartition(".")[2].startswith("Save"):
            steps.append(step)
        elif kind in RESPONSES:
            steps.append({name: step if name == "saver" else value for name, value in RESPONSES[kind].items()})
    config["post_transforms"] = {"_target_": "Compose", "transforms": steps}
    if SAVE_MASK in kinds:
        config["displayable_configs"] = dict(MASK_OPTIONS)


def _places(name: str, steps: Iterable[Any]) -> Iterator[tuple[str, str]]:
    """Yield the references of the steps of a list, also of those that a step holds, with the names of their kinds."""
    for place, step in enumerate(steps):
        if isinstance(step, dict) and "transforms" in step:
            yield from _places(f"{name}#{place}#transforms", step["transforms"])
        else:
            yield f"{name}#{place}", step["_target_"] if isinstance(step, dict) else step


def _drop_import(config: Config) -> None:
    """Remove ``import bundle`` if no expression needs it: MONAI runs it before the pack is on the path."""
    if "imports" in config:
        config["imports"] = [line for line in config["imports"] if line != "$import bundle"]
