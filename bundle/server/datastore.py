"""The datastore of the study folder, which checks images and labels before it stores them."""

from __future__ import annotations

import logging
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monailabel.datastore.local import DataModel

from .annotations import check_annotation, is_used_by, read_names
from .final_labels import FINAL, check_classes
from .label_info import INFO_KEY
from .label_kinds import CLASSES, EXTENSIONS_BY_KIND, KIND_NAMES, LABEL_MAP, MARKUPS, find_kind, join_tag, split_tag
from .label_tasks import EXTENSIONS, IMAGE, TASKS, VOLUME, LabelTask
from .labeled_case import LabeledCase
from .mask_volumes import VOLUME_EXTENSIONS, is_volume, write_mask
from .request_names import check_name
from .server_errors import RequestError
from .uploads import check_image, check_label
from .workarounds.shared_datastore import SharedDatastore

logger = logging.getLogger(__name__)

SEGMENTATION = ".seg"
"""End of the name of a segmentation of 3D Slicer before its extension, ``NAME.seg.nrrd``."""


class StudyDatastore(SharedDatastore):
    """MONAI Label's local datastore for images of one kind, with a label of each kind per image and tag.

    MONAI Label 0.8.5 builds paths from any name in a request, stores files that it cannot read, and has one label per
    tag.

    Args:
        studies: folder with the images.
        kind: kind of the images, see :mod:`.label_tasks`.
        tasks: the served tasks; None for all of this kind.
        options: as for ``LocalDatastore``.
    """

    def __init__(self, studies: str, kind: str, *, tasks: Sequence[LabelTask] | None = None, **options: Any) -> None:
        self.kind = kind
        self.tasks = [task for task in TASKS if task.kind == kind] if tasks is None else list(tasks)
        extensions = [*EXTENSIONS[kind], EXTENSIONS_BY_KIND[MARKUPS if kind == VOLUME else CLASSES]]
        if kind == IMAGE:
            extensions += VOLUME_EXTENSIONS
        self._warned: set[tuple[Path, str]] = set()
        super().__init__(studies, extensions=tuple(f"*{extension}" for extension in extensions), **options)

    def _list_files(self, path: str, patterns: list[str]) -> dict[str, str]:
        """List files by their extensions in any case, without hidden files and without labels next to images."""
        extensions = tuple(pattern.removeprefix("*") for pattern in patterns)
        if Path(path).resolve() == Path(self._datastore.image_path()).resolve():
            extensions = EXTENSIONS[self.kind]
        return {name: name for name in sorted(os.listdir(path)) if name[0] != "." and name.lower().endswith(extensions)}

    def _to_id(self, file: str) -> tuple[str, str]:
        """Split a file name into id and extension, in any case."""
        extension = next((known[1:] for known in self._extensions if file.lower().endswith(known[1:])), None)
        if extension is None:
            return tuple(super()._to_id(file))
        return file[: -len(extension)], file[-len(extension) :]

    def _add_non_existing_labels(self, tag: str) -> int:
        """Add the files in the folder of a tag to the list, a label of each kind per image; return their number."""
        self._init_from_datastore_file()
        folder, objects, added = Path(self._datastore.label_path(tag)), self._datastore.objects, 0
        known = self._list_files(str(folder), self._extensions)
        for file in sorted(file for file in os.listdir(folder) if file[0] != "." and file not in known):
            self._warn_once(folder / file, "is not a label, because of its extension")
        for file in known:
            name, extension = self._to_id(file)
            if name not in objects and name.endswith(SEGMENTATION):
                name, extension = name.removesuffix(SEGMENTATION), SEGMENTATION + extension
            if name not in objects:
                self._warn_once(folder / file, f"is not used: there is no image {name!r}")
                continue
            listed = objects[name].labels.get(join_tag(tag, find_kind(file)))
            if listed is None:
                info = {"ts": int(time.time()), "name": file}
                objects[name].labels[join_tag(tag, find_kind(file))] = DataModel(info=info, ext=extension)
                added += 1
            elif listed.ext != extension:
                self._warn_once(folder / file, f"is not used: the label is {name}{listed.ext}")
        return added

    def _warn_once(self, file: Path, message: str) -> None:
        if (file, message) not in self._warned:
            self._warned.add((file, message))
            logger.warning("%s: %s", file, message)

    def get_labeled_images(self, label_tag: str | None = None, labels: Any = None) -> list[str]:
        """Return the images that have a final label of any kind."""
        return list(self._datastore.filter_by_tag(FINAL))

    def get_unlabeled_images(self, label_tag: str | None = None, labels: Any = None) -> list[str]:
        """Return the images that have no final label."""
        labeled = self._datastore.filter_by_tag(FINAL)
        return [name for name in self.list_images() if name not in labeled]

    def find_final_label(self, image_id: str, task: LabelTask) -> LabeledCase | None:
        """Return an image with the final label that a task uses; None if there is none.

        Raises:
            RequestError: 400, if the ``label_info`` of the label is invalid.
        """
        for kind in task.label_kinds:
            key = f"{FINAL}.{kind}"
            file, info = self.get_label_uri(image_id, key), self.get_label_info(image_id, key)
            if (
                file
                and Path(file).is_file()
                and (kind != LABEL_MAP or is_used_by(task, self.tasks, file, info, Path(file).name))
            ):
                names = read_names(file, info, Path(file).name) if kind == LABEL_MAP else {}
                return LabeledCase(image_id, Path(self.get_image_uri(image_id)), Path(file), names)
        return None

    def datalist(self, full_path: bool = True) -> list[dict[str, Any]]:
        """Return the images with a final label: ``image``, ``label`` and, by kind, further labels."""
        items = []
        for name in self.get_labeled_images():
            files = {kind: self.get_label_uri(name, f"{FINAL}.{kind}") for kind in KIND_NAMES}
            (_, first), *others = [(kind, file) for kind, file in files.items() if file]
            items.append({"image": self.get_image_uri(name), "label": first, **dict(others)})
        return items

    def json(self) -> Any:
        """Return the list of images and labels; a tag without a label map or mask names its first label."""
        content = super().json()
        for name, item in content["objects"].items():
            for tag in {split_tag(key)[0] for key in item["labels"]}:
                item["labels"].setdefault(tag, self._datastore.label(name, tag).model_dump())
        return content

    def status(self) -> dict[str, Any]:
        """Return the number of images, of those with a final label, and of those with a label by tag."""
        tags = {tag: len(self._datastore.filter_by_tag(tag)) for tag in sorted(self._datastore.tags())}
        return {"total": len(self.list_images()), "completed": len(self.get_labeled_images()), "label_tags": tags}

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
        """Save a label of an image; a label of another kind with the same tag stays.

        Raises:
            RequestError: 400 for an invalid tag or file, or one that does not fit the image or the models; 404 for an
                unknown image.
        """
        check_name("tag", label_tag)
        self.check_image_id(image_id)
        if not isinstance(label_info or {}, Mapping):
            raise RequestError(400, f"params: must be a JSON object, got {label_info!r}.")
        image, display_name = self.get_image_uri(image_id), f"label of {image_id}{_suffixes(label_filename)}"
        tag, kind = _split_tag_for(label_filename, label_tag, display_name)
        with tempfile.TemporaryDirectory() as folder:
            file, info = label_filename, dict(label_info or {})
            if self.kind == IMAGE and is_volume(file):
                names = read_names(file, info, display_name)
                info[INFO_KEY] = [{"name": name, "idx": value} for value, name in names.items()]
                file = str(Path(folder, "mask.png"))
                write_mask(label_filename, image, Path(file), display_name)
            check_label(file, image, self.kind, f"label of {image_id}{_suffixes(file)}")
            self._check_content(file, image, info, f"label of {image_id}{_suffixes(file)}")
            previous = self.get_label_uri(image_id, f"{tag}.{kind}")
            label = str(super().save_label(image_id, file, join_tag(tag, kind), info))
            if previous and previous != self.get_label_uri(image_id, f"{tag}.{kind}"):
                Path(previous).unlink(missing_ok=True)
            return label

    def _check_content(self, file: str, image: str, info: Mapping[str, Any], display_name: str) -> None:
        """Check that a label contains structures or classes of a served task."""
        kind = find_kind(file)
        if kind == LABEL_MAP:
            check_annotation(file, image, self.tasks, info, display_name)
        elif kind == CLASSES:
            check_classes(Path(file), self.tasks, display_name)

    def update_label_info(self, label_id: str, label_tag: str, info: dict[str, Any]) -> None:
        """Change the info of a label.

        Raises:
            RequestError: 400, if its ``label_info`` does not fit the label; 404, if there is no such label.
        """
        file = self._find_label(label_id, label_tag)
        merged = {**self.get_label_info(label_id, label_tag), **info}
        self._check_content(file, self.get_image_uri(label_id), merged, f"label of {label_id}{_suffixes(file)}")
        super().update_label_info(label_id, label_tag, info)

    def _find_label(self, label_id: str, label_tag: str) -> str:
        file = self.get_label_uri(label_id, label_tag)
        if not file:
            raise RequestError(404, f"image {label_id!r} has no label with the tag {label_tag!r}.")
        return file

    def remove_label(self, label_id: str, label_tag: str) -> None:
        """Remove a label.

        Raises:
            RequestError: 404, if it does not exist.
        """
        self._find_label(label_id, label_tag)
        super().remove_label(label_id, label_tag)

    def get_dataset_archive(self, limit_cases: int | None) -> str:
        """Return a zip archive of the images with a final label and these labels.

        Raises:
            RequestError: 404, if there are none.
        """
        if not self.get_labeled_images():
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


def _split_tag_for(file: str, tag: str, display_name: str) -> tuple[str, str]:
    """Return tag and kind for a label.

    Raises:
        RequestError: 400, if the tag is for another kind of label.
    """
    name, kind = split_tag(tag)
    found = find_kind(file)
    if kind not in (None, found):
        raise RequestError(
            400,
            f"{display_name}: is a {KIND_NAMES[found]}, the tag {tag!r} is for a {KIND_NAMES[str(kind)]}; "
            f"use the tag {name!r}.",
        )
    return name, found
