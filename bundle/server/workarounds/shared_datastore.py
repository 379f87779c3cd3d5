"""monailabel 0.8.5: processes that share a datastore lose each other's entries, and an interrupted write corrupts it.

The server and each background task keep ``datastore_v2.json`` in memory and overwrite it completely: a label that is
submitted during a batch can disappear from the list. The file is written in place, so that a killed process leaves a
part of it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from filelock import FileLock
from monailabel.datastore.local import LocalDatastore, LocalDatastoreModel

from bundle.server.label_list import LabelList
from bundle.utils.atomic_write import atomic_write

LOCK = ".keyslice.lock"
"""Lock file in the study folder, locked while the list changes."""


class SharedDatastore(LocalDatastore):
    """MONAI Label's local datastore with a list that is read again before each change and replaced atomically.

    Args:
        datastore_path: the study folder.
        options: as for ``LocalDatastore``.
    """

    def __init__(self, datastore_path: str, **options: Any) -> None:
        os.makedirs(datastore_path, exist_ok=True)
        self._guard = FileLock(os.path.join(datastore_path, LOCK))
        self._loaded_stamp: Any = None
        super().__init__(datastore_path, **options)

    @property
    def _datastore(self) -> LabelList:
        """The list; read again if another process has replaced it."""
        if self._stamp() != self._loaded_stamp:
            self._init_from_datastore_file()
        return self._model

    @_datastore.setter
    def _datastore(self, model: LocalDatastoreModel) -> None:
        self._model = LabelList.model_validate(model.model_dump())

    def add_image(self, image_id: str, image_filename: str, image_info: dict[str, Any]) -> str:
        """Add an image; see ``LocalDatastore``."""
        with self._guard:
            return super().add_image(image_id, image_filename, image_info)

    def remove_image(self, image_id: str) -> None:
        """Remove an image and its labels; see ``LocalDatastore``."""
        with self._guard:
            super().remove_image(image_id)

    def save_label(self, image_id: str, label_filename: str, label_tag: str, label_info: dict[str, Any]) -> str:
        """Add a label; see ``LocalDatastore``."""
        with self._guard:
            return super().save_label(image_id, label_filename, label_tag, label_info)

    def remove_label(self, label_id: str, label_tag: str) -> None:
        """Remove a label, from the list too: ``LocalDatastore`` leaves that to its watcher, which comes later."""
        with self._guard:
            super().remove_label(label_id, label_tag)
            self.refresh()

    def update_image_info(self, image_id: str, info: dict[str, Any]) -> None:
        """Change the info of an image; see ``LocalDatastore``."""
        with self._guard:
            super().update_image_info(image_id, info)

    def update_label_info(self, label_id: str, label_tag: str, info: dict[str, Any]) -> None:
        """Change the info of a label; see ``LocalDatastore``."""
        with self._guard:
            super().update_label_info(label_id, label_tag, info)

    def _reconcile_datastore(self) -> None:
        with self._guard:
            super()._reconcile_datastore()

    def _init_from_datastore_file(self, throw_exception: bool = False) -> None:
        with self._guard:
            stamp = self._stamp()
            if stamp is None or stamp == self._loaded_stamp:
                return
            self._loaded_stamp = stamp
            try:
                text = Path(self._datastore_config_path).read_text(encoding="utf-8")
                self._model = LabelList.model_validate_json(text)
            except ValueError as error:
                raise ValueError(
                    f"{self._datastore_config_path}: is not a list of MONAI Label; move it away to start a new one."
                ) from error
            self._model.base_path = self._datastore_path

    def _update_datastore_file(self, lock: bool = True) -> None:
        content = json.dumps(self._model.model_dump(exclude={"base_path"}), indent=2, default=str)
        with self._guard:
            with atomic_write(Path(self._datastore_config_path)) as file:
                file.write_text(content, encoding="utf-8")
            self._loaded_stamp = self._stamp()

    def _stamp(self) -> tuple[int, int, int] | None:
        try:
            found = os.stat(self._datastore_config_path)
        except FileNotFoundError:
            return None
        return found.st_mtime_ns, found.st_ino, found.st_size
