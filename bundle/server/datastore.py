"""The folder of studies as the server sees it: what comes in is checked first, and stays in it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from .label_tasks import ENDINGS, PICTURE, VOLUME
from .mask_volumes import is_volume, write_mask
from .request_names import check_name
from .server_errors import RequestError
from .uploads import CLASSES, MARKUPS, check_image, check_label
from .workarounds.shared_datastore import SharedDatastore


class StudyDatastore(SharedDatastore):
    """MONAI Label's local datastore for images of one kind.

    For MONAI Label 0.8.5, which makes paths of whatever name a request has, and takes files that it cannot read.

    Args:
        studies: folder with the images.
        kind: of the images, see :mod:`.tasks`.
        options: as for ``LocalDatastore``.
    """

    def __init__(self, studies: str, kind: str, **options: Any) -> None:
        self.kind = kind
        endings = (*ENDINGS[kind], MARKUPS if kind == VOLUME else CLASSES)
        super().__init__(studies, extensions=tuple(f"*{ending}" for ending in endings), **options)

    def _list_files(self, path: str, patterns: list[str]) -> dict[str, str]:
        """List files by their endings in upper or lower case; hidden files and labels beside images are no images."""
        known = tuple(pattern.removeprefix("*") for pattern in patterns)
        if Path(path).resolve() == Path(self._datastore.image_path()).resolve():
            known = ENDINGS[self.kind]
        return {name: name for name in os.listdir(path) if name[0] != "." and name.lower().endswith(known)}

    def _to_id(self, file: str) -> tuple[str, str]:
        """Part a file's name into id and ending, which may be in upper case."""
        ending = next((known[1:] for known in self._extensions if file.lower().endswith(known[1:])), None)
        if ending is None:
            return tuple(super()._to_id(file))
        return file[: -len(ending)], file[-len(ending) :]

    def add_image(self, image_id: str, image_filename: str, image_info: dict[str, Any]) -> str:
        """Take an image into the folder of studies.

        Raises:
            RequestError: 400 for a name or a file that cannot be used, 409 when there is an image of that name.
        """
        name = check_name("image", image_id or Path(image_filename).name)
        if image_id in self.list_images():
            raise RequestError(409, f"image {image_id!r} is there already; remove it first, or choose another name.")
        check_image(image_filename, self.kind, f"{name}{_suffixes(image_filename)}")
        return str(super().add_image(image_id, image_filename, image_info))

    def save_label(self, image_id: str, label_filename: str, label_tag: str, label_info: dict[str, Any]) -> str:
        """Take a label of an image.

        Raises:
            RequestError: 400 for a tag or a file that cannot be used, or does not fit the image; 404 for an image that
                is not there.
        """
        check_name("tag", label_tag)
        self.check_image_id(image_id)
        image, shown = self.get_image_uri(image_id), f"label of {image_id}{_suffixes(label_filename)}"
        with tempfile.TemporaryDirectory() as folder:
            file = label_filename
            if self.kind == PICTURE and is_volume(file):
                file = str(Path(folder, "mask.png"))
                write_mask(label_filename, image, Path(file), shown)
            check_label(file, image, self.kind, f"label of {image_id}{_suffixes(file)}")
            earlier = self.get_label_uri(image_id, label_tag)
            label = str(super().save_label(image_id, file, label_tag, label_info))
            if earlier and earlier != self.get_label_uri(image_id, label_tag):
                Path(earlier).unlink(missing_ok=True)
            return label

    def remove_label(self, label_id: str, label_tag: str) -> None:
        """Remove a label.

        Raises:
            RequestError: 404, when it is not there.
        """
        if not self.get_label_uri(label_id, label_tag):
            raise RequestError(404, f"there is no label of {label_id!r} with the tag {label_tag!r}.")
        super().remove_label(label_id, label_tag)

    def get_dataset_archive(self, limit_cases: int | None) -> str:
        """Return a zip archive of the images that have a final label, and of these labels.

        Raises:
            RequestError: 404, when there are none.
        """
        if not self.datalist():
            raise RequestError(404, "no image has a label with the tag 'final' yet; label one first.")
        return str(super().get_dataset_archive(limit_cases))

    def check_image_id(self, image_id: str) -> str:
        """Return the name of an image that is there.

        Raises:
            RequestError: 404, when it is not.
        """
        if image_id not in self.list_images():
            raise RequestError(404, f"image {image_id!r} is not among the studies; see GET /datastore/?output=all.")
        return image_id


def _suffixes(file: str | Path) -> str:
    return "".join(Path(file).suffixes[-2:])
