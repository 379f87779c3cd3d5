"""Kinds of labels: under one tag an image may have one label of each.

In the list of labels, a label map or mask has the key ``TAG``, markups ``TAG.markups`` and classes ``TAG.classes``; all
files are in ``labels/TAG``. Requests may use these keys as tags. ``TAG`` alone names the first kind that exists.
"""

from __future__ import annotations

from pathlib import Path

LABEL_MAP, MARKUPS, CLASSES = "label_map", "markups", "classes"
"""Kinds: a label map of a volume or a mask of a 2D image; disc points of 3D Slicer; the classes of a 2D image."""

KINDS = (LABEL_MAP, MARKUPS, CLASSES)

EXTENSIONS_BY_KIND = {MARKUPS: ".mrk.json", CLASSES: ".classes.json"}
"""File extensions of all kinds except label maps, which have those of images."""

KIND_NAMES = {LABEL_MAP: "label map or mask", MARKUPS: "file of markups", CLASSES: "file of classes"}
"""Names of the kinds in messages."""


def find_kind(file: str | Path) -> str:
    """Return the kind of a label by its file name or extension."""
    name = str(file).lower()
    return next((kind for kind, extension in EXTENSIONS_BY_KIND.items() if name.endswith(extension)), LABEL_MAP)


def split_tag(tag: str) -> tuple[str, str | None]:
    """Split a tag or a key of the list into tag and kind; the kind is None if it is not given.

    Examples:
        >>> split_tag("final.classes"), split_tag("final")
        (('final', 'classes'), ('final', None))
    """
    head, _, kind = tag.rpartition(".")
    return (head, kind) if head and kind in KINDS else (tag, None)


def join_tag(tag: str, kind: str) -> str:
    """Return the key of the list for a tag and a kind."""
    return tag if kind == LABEL_MAP else f"{tag}.{kind}"
