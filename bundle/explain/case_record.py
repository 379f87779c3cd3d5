"""What the records of explained cases share."""

from __future__ import annotations

import time
from collections.abc import Hashable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bundle.inference.save_segmentation import describe_checkpoint
from bundle.utils.versions import versions


def case_record(data: Mapping[Hashable, Any], image_key: str, checkpoint: str | Path | None) -> dict[str, Any]:
    """Describe a case and how it was run, with the keys of the JSON that segmentation writes.

    Args:
        data: the case behind the network; the metadata of its image name the file.
        image_key: key of the image.
        checkpoint: weights that were used, or None.
    """
    meta = data[image_key].meta
    source = str(meta["filename_or_obj"])
    return {
        "case": str(data.get("case", Path(source).name.removesuffix(".gz").removesuffix(".nii"))),
        "input": source,
        "remarks": [remark for remark in str(meta.get("remarks", "")).split("; ") if remark],
        "seconds": round(time.perf_counter() - float(data["started"]), 3) if "started" in data else None,
        "checkpoint": describe_checkpoint(checkpoint),
        "versions": versions(),
    }


def require_matplotlib(purpose: str) -> None:
    """Check that matplotlib is installed, before any case is worked on.

    Raises:
        ModuleNotFoundError: when it is not; the message names ``purpose`` and what to install.
    """
    if find_spec("matplotlib") is None:
        raise ModuleNotFoundError(f"{purpose} draws with matplotlib; pip install 'keyslice[demo]'.")
