"""The folder that a training leaves: weights, and the settings that they need."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bundle.utils.atomic_write import atomic_write
from bundle.utils.digests import sha256_of_file
from bundle.utils.errors import FileError
from bundle.utils.versions import versions
from bundle.utils.write_json import write_json

MODEL = "model.json"
"""File of the settings in a model folder."""

WEIGHTS = "model.pt"
"""File of the weights in a model folder."""

FORMAT = 1
"""Version of the content of ``model.json``."""


class ModelFolderError(FileError):
    """A model folder that cannot be used."""


@dataclass(frozen=True)
class ModelFolder:
    """The content of a model folder.

    Attributes:
        folder: path of the folder.
        task: name of the task.
        settings: values by config id that belong to the weights: network, classes, preprocessing.
        defaults: values by config id that a user may replace, such as those for reading labels.
        files: names of files in the folder by the config id that names them.
        training: what is known of the training.
    """

    folder: Path
    task: str
    settings: Mapping[str, Any]
    defaults: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)

    @property
    def weights(self) -> Path:
        """File of the weights."""
        return self.folder / WEIGHTS

    @property
    def paths(self) -> dict[str, str]:
        """Paths of the weights and the other files by the config id that names them."""
        named = {"checkpoint": WEIGHTS, **self.files}
        return {name: str(self.folder.resolve() / file) for name, file in named.items()}

    @property
    def config(self) -> dict[str, Any]:
        """Values by config id of a workflow that uses the model, without options of a user."""
        return {**self.defaults, **self.settings, **self.paths}

    @classmethod
    def read(cls, folder: str | Path, *, task: str | None = None) -> ModelFolder:
        """Read a model folder.

        Args:
            folder: folder that a training has written.
            task: the task that it has to be of; None for any.

        Raises:
            ModelFolderError: if a file is missing, damaged or of another task, or the weights are not those that the
                settings belong to.
        """
        path = Path(folder, MODEL)
        if not path.is_file():
            raise ModelFolderError(folder, f"has no {MODEL}", "pass a folder that a training has written")
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            fields = {name: content[name] for name in ("task", "settings", "defaults", "files", "training")}
            version, digest = content["format"], content["weights"]["sha256"]
        except (ValueError, KeyError, TypeError) as error:
            raise ModelFolderError(path, "is damaged or of another kind", "train again") from error
        if version != FORMAT:
            raise ModelFolderError(path, f"has format {version}, not {FORMAT}", "use the Keyslice that has written it")
        if task is not None and fields["task"] != task:
            raise ModelFolderError(
                path, f"is of the task {fields['task']!r}, not {task!r}", f"use the configs of {fields['task']}"
            )
        found = cls(Path(folder), **fields)
        for file in map(Path, found.paths.values()):
            if not file.is_file():
                raise ModelFolderError(file, "does not exist", f"copy the complete folder of {path}")
        if sha256_of_file(found.weights) != digest:
            raise ModelFolderError(
                found.weights,
                f"is not the file that {MODEL} belongs to",
                "copy both, or pass --checkpoint with the settings of its training instead of --model",
            )
        return found

    def write(self, sources: Mapping[str, str | Path] | None = None) -> None:
        """Write ``model.json`` for the weights in the folder.

        Args:
            sources: files to copy to the folder, by the config id that names them.
        """
        for name, source in (sources or {}).items():
            target = self.folder / self.files[name]
            if not target.is_file() or not target.samefile(source):
                with atomic_write(target) as file:
                    shutil.copyfile(source, file)
        content = {
            "format": FORMAT,
            "task": self.task,
            "settings": dict(self.settings),
            "defaults": dict(self.defaults),
            "files": dict(self.files),
            "weights": {"file": WEIGHTS, "sha256": sha256_of_file(self.weights)},
            "training": dict(self.training),
            "versions": versions(),
        }
        write_json(self.folder / MODEL, content)
