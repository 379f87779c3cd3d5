"""What holds for every config. A new task is covered by naming its folder in ``TASKS``, an overlay by its file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bundle import ROOT

CONFIGS = Path(ROOT, "configs")
TASKS = (".",)
WORKFLOWS = ("train", "evaluate", "inference")
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

OVERLAYS = ("multi_gpu_train.json", *(f"networks/{name}.json" for name in NETWORK_OVERLAYS))

ALLOWED_EXPRESSIONS = (
    r"\$import [\w.]+( as \w+)?",
    r"\$bundle\.[\w.]+",  # a plain name of this package
    r"\$@bundle_root \+ '[\w/.]+'",  # a path join
    r"\$@rank (==|>) 0",
    r"\$max\(@label_names\.values\(\)\) \+ 1",
    r"\$@network\.parameters\(\)",
    r"\$@[\w#]+ \+ @[\w#]+",  # a chain of lists
    r"\$@[\w#]+\.(run|exit)\(\)",
    r"\$@summary\.attach\(@train#trainer\)",
    r"\$monai\.utils\.set_determinism\(seed=@seed\)",
    r"\$monai\.handlers\.from_engine\(\[('\w+'(, )?)+\](, first=True)?\)",
    r"\$torch\.device\('cuda' if torch\.cuda\.is_available\(\) else 'cpu'\)",
    r"\$torch\.device\('cuda:' \+ os\.environ\['LOCAL_RANK'\] if torch\.cuda\.is_available\(\) else 'cpu'\)",
    r"\$'nccl' if torch\.cuda\.is_available\(\) else 'gloo'",
    r"\$dist\.(get_rank\(\)|init_process_group\(backend=@backend\)|destroy_process_group\(\))",
)
"""All code that the configs may hold; everything else is data."""

USER_IDS = {
    "train": "bundle_root dataset_dir datalist output_dir checkpoint device attention roi_size epochs batch_size",
    "evaluate": "bundle_root dataset_dir datalist split output_dir checkpoint device attention roi_size",
    "inference": "bundle_root input output_dir checkpoint device attention roi_size",
}
"""What a user changes, before anything else in the file."""

SHARED_SECTIONS = ("label_names", "attention", "roi_size", "pixdim", "spacing_range", "network_def", "network")
"""Ids that mean the same in all three workflows."""


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
