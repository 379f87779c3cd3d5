"""Remarks on an image, which go to the JSON of its case."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

logger = logging.getLogger(__name__)


def add_remarks(image: Any, remarks: Sequence[str]) -> None:
    """Log remarks on an image, and add them to its metadata as ``"remarks"``, separated by semicolons.

    Args:
        image: MetaTensor; remarks on another tensor are logged.
        remarks: remarks without semicolons.
    """
    meta = getattr(image, "meta", {})
    for remark in remarks:
        logger.info("%s: %s", meta.get("filename_or_obj", "image"), remark)
    if remarks:
        meta["remarks"] = "; ".join([*filter(None, [meta.get("remarks", "")]), *remarks])
