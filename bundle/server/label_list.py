"""MONAI Label's list of images and labels, with a label of each kind per image and tag."""

from __future__ import annotations

from typing import Any

from monailabel.datastore.local import LocalDatastoreModel
from pydantic import model_validator

from .label_kinds import KINDS, find_kind, join_tag, split_tag


class LabelList(LocalDatastoreModel):
    """MONAI Label's list with the keys of :mod:`.label_kinds`; lists of earlier versions are converted."""

    @model_validator(mode="after")
    def _separate_kinds(self) -> LabelList:
        for item in self.objects.values():
            for key in list(item.labels):
                label = item.labels.pop(key)
                item.labels[join_tag(split_tag(key)[0], find_kind(label.ext))] = label
        return self

    def label(self, image_id: str, tag: str) -> Any:
        """Return a label by tag and kind or, if ``tag`` has no kind, the first of this tag; None if there is none."""
        item = self.objects.get(image_id)
        name, kind = split_tag(tag)
        keys = [join_tag(name, known) for known in ([kind] if kind else KINDS)]
        return next((item.labels[key] for key in keys if key in item.labels), None) if item else None

    def label_path(self, tag: str | None) -> str:
        """Return the folder of the labels with a tag, the same for all kinds."""
        return str(super().label_path(tag and split_tag(tag)[0]))

    def tags(self) -> set[str]:
        """Return all tags, without kinds."""
        return {split_tag(key)[0] for item in self.objects.values() for key in item.labels}

    def filter_by_tag(self, tag: str) -> dict[str, Any]:
        """Return the images that have a label of any kind with a tag."""
        return {name: item for name, item in self.objects.items() if self.label(name, tag)}
