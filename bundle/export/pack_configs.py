"""What changes in the configs of a task when it becomes a bundle of its own.

In a pack the configs of a further task lie in ``configs/`` itself and its weights in ``models/``, as MONAI's tools
expect of a bundle. What MONAI Label's stock app (monailabel 0.8.5) does with them:

- It sets ``train#trainer#max_epochs``: the schedule of the learning rate follows it.
- It reads ``train#handlers`` as dictionaries: references are spelled out.
- It serves ``models/model.pt``: a training replaces it once it has ended well.
- It takes ``post_transforms`` rather than ``postprocessing``: it holds the steps that make the result and leaves out
  those that write files, since the app writes the answer itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

Config = dict[str, Any]

ROOT_FINDER = {"_target_": "bundle.export.pack.root_of", "pack": "@_meta_#pack"}
"""``bundle_root`` of a pack, as long as nobody sets it; ``_meta_`` is the metadata beside the config."""

ANSWERS: Mapping[str, Config] = {
    "bundle.tasks.spine.SaveDiscsd": {"_target_": "bundle.tasks.spine.DiscResponsed", "keys": "discs"},
    "bundle.tasks.images.SaveMaskd": {"_target_": "bundle.tasks.images.MaskResponsed", "keys": "pred", "saver": None},
}
"""What makes of a result what a server can send, by the step that would write it; ``saver`` is that step."""

PICTURES = "bundle.tasks.images.SaveMaskd"
PICTURE_OPTIONS = {"result_extension": ".png"}
"""Masks of pictures are PNG, whatever the pictures are; the app would else write those of JPEG as JPEG."""

PUBLISH = {
    "_target_": "bundle.training.PublishWeights",
    "source": "$@output_dir + '/model.pt'",
    "target": "@published",
}


def rewrite_paths(text: str, task: str) -> str:
    """Return a text in which the folders of a further task are those of a pack; ``"."`` is the main task."""
    return text if task == "." else re.sub(rf"\b(configs|models|runs)/{re.escape(task)}/", r"\1/", text)


def adapt_config(name: str, config: Config) -> Config:
    """Return the config of a pack.

    Args:
        name: of the file, below the folder of the task.
        config: of the project, with the paths of a pack.
    """
    changes = {"train.json": _train, "inference.json": _inference}
    config = json.loads(json.dumps(config))
    if "bundle_root" in config:
        config["bundle_root"] = ROOT_FINDER
    if name in changes:
        changes[name](config)
    if not re.search(r'"\$[^"]*\bbundle\.', json.dumps(config)):
        _drop_import(config)
    return config


def _train(config: Config) -> None:
    trainer, schedule = config["train"]["trainer"], config.get("lr_scheduler", {})
    if schedule.get("epochs") == trainer["max_epochs"]:
        schedule["epochs"] = "@train#trainer#max_epochs"
    handlers = [_spelled_out(handler, config) for handler in config["train"]["handlers"]]
    config["train"]["handlers"] = [*handlers, dict(PUBLISH)]
    items = list(config.items())
    place = list(config).index("output_dir") + 1
    items.insert(place, ("published", "$@bundle_root + '/models/model.pt'"))
    config.clear()
    config.update(items)


def _spelled_out(handler: Config | str, config: Config) -> Config:
    """Return a handler as what it is made by: MONAI Label cannot read one that is the reference of another id.

    Where that id is used elsewhere too, there are two of them: right for handlers whose state lies in what they are
    given, such as :class:`bundle.training.ClassReweighting`.
    """
    return dict(config[handler.removeprefix("@")]) if isinstance(handler, str) else handler


def _inference(config: Config) -> None:
    places = dict(_places("@postprocessing#transforms", config["postprocessing"]["transforms"]))
    kinds = places.values()
    steps: list[Any] = []
    for step, kind in places.items():
        if not kind.rpartition(".")[2].startswith("Save"):
            steps.append(step)
        elif kind in ANSWERS:
            steps.append({name: step if name == "saver" else value for name, value in ANSWERS[kind].items()})
    config["post_transforms"] = {"_target_": "Compose", "transforms": steps}
    if PICTURES in kinds:
        config["displayable_configs"] = dict(PICTURE_OPTIONS)


def _places(name: str, steps: Iterable[Any]) -> Iterator[tuple[str, str]]:
    """Yield the references of the steps of a list, also of those that a step holds, with the names of their kinds."""
    for place, step in enumerate(steps):
        if isinstance(step, dict) and "transforms" in step:
            yield from _places(f"{name}#{place}#transforms", step["transforms"])
        else:
            yield f"{name}#{place}", step["_target_"] if isinstance(step, dict) else step


def _drop_import(config: Config) -> None:
    """Leave out ``import bundle`` where no expression needs it, since MONAI runs it before the pack is on the path."""
    if "imports" in config:
        config["imports"] = [line for line in config["imports"] if line != "$import bundle"]
