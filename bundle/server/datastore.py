"""The datastore of the study folder, which checks images and labels before it stores them."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from .label_tasks import EXTENSIONS, IMAGE, VOLUME
from .mask_volumes import is_volume, write_mask
from .request_names import check_name
from .server_errors import RequestError
from .uploads import CLASSES, MARKUPS, check_image, check_label
from .workarounds.shared_datastore import SharedDatastore


class StudyDatastore(SharedDatastore):
    """MONAI Label's local datastore for images of one kind.

    MONAI Label 0.8.5 builds paths from any name in a request and stores files that it cannot read.

    Args:
        studies: folder with the images.
        kind: kind of the images, see :mod:`.label_tasks`.
        options: as for ``LocalDatastore``.
    """

    def __init__(self, studies: str, kind: str, **options: Any) -> None:
        self.kind = kind
        extensions = (*EXTENSIONS[kind], MARKUPS if kind == VOLUME else CLASSES)
        super().__init__(studies, extensions=tuple(f"*{extension}" for extension in extensions), **options)

    def _list_files(self, path: str, patterns: list[str]) -> dict[str, str]:
        """List files by their extensions in any case, without hidden files and without labels next to images."""
        extensions = tuple(pattern.removeprefix("*") for pattern in patterns)
        if Path(path).resolve() == Path(self._datastore.image_path()).resolve():
            extensions = EXTENSIONS[self.kind]
        return {name: name for name in os.listdir(path) if name[0] != "." and name.lower().endswith(extensions)}

    def _to_id(self, file: str) -> tuple[str, str]:
        """Split a file name into id and extension, in any case."""
        extension = next((known[1:] for known in self._extensions if file.lower().endswith(known[1:])), None)
        if extension is None:
            return tuple(super()._to_id(file))
        return file[: -len(extension)], file[-len(extension) :]

    def add_image(self, image_id: str, image_filename: str, image_info: dict[str, Any]) -> str:
        """Add an image to the study folder.

        Raises:
            RequestError: 400 for an invalid name or file, 409 if an image of that name exists.
        """
        name = check_name("image", image_id or Path(image_filename).name)
        if image_id in self.list_images():
            raise RequestError(409, f"image {image_id!r} already exists; remove it first or choose another name.")
        check_image(image_filename, self.kind, f"{name}{_suffixes(image_filename)}")
        return str(super().add_image(image_id, image_filename, image_info))

    def save_label(self, image_id: str, label_filename: str, label_tag: str, label_info: dict[str, Any]) -> str:
        """Save a label of an image.

        Raises:
            RequestError: 400 for an invalid tag or file, or one that does not fit the image; 404 for an unknown image.
        """
        check_name("tag", label_tag)
        self.check_image_id(image_id)
        image, display_name = self.get_image_uri(image_id), f"label of {image_id}{_suffixes(label_filename)}"
        with tempfile.TemporaryDirectory() as folder:
            file = label_filename
            if self.kind == IMAGE and is_volume(file):
                file = str(Path(folder, "mask.png"))
                write_mask(label_filename, image, Path(file), display_name)
            check_label(file, image, self.kind, f"label of {image_id}{_suffixes(file)}")
            previous = self.get_label_uri(image_id, label_tag)
            label = str(super().save_label(image_id, file, label_tag, label_info))
            if previous and previous != self.get_label_uri(image_id, label_tag):
                Path(previous).unlink(missing_ok=True)
            return label

    def remove_label(self, label_id: str, label_tag: str) -> None:
        """Remove a label.

        Raises:
            RequestError: 404, if it does not exist.
        """
        if not self.get_label_uri(label_id, label_tag):
            raise RequestError(404, f"image {label_id!r} has no label with the tag {label_tag!r}.")
        super().remove_label(label_id, label_tag)

    def get_dataset_archive(self, limit_cases: int | None) -> str:
        """Return a zip archive of the images with a final label and these labels.

        Raises:
            RequestError: 404, if there are none.
        """
        if not self.datalist():
            raise RequestError(404, "no image has a final label; submit one first.")
        return str(super().get_dataset_archive(limit_cases))

    def check_image_id(self, image_id: str) -> str:
        """Return an image id if the image exists.

        Raises:
            RequestError: 404, if it does not.
        """
        if image_id not in self.list_images():
            raise RequestError(
                404, f"image {image_id!r} is not in the study folder; GET /datastore/?output=all lists its images."
            )
        return image_id


def _suffixes(file: str | Path) -> str:
    return "".join(Path(file).suffixes[-2:])
