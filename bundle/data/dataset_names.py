"""Names of structures in a config against those of the dataset that it is run on."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

from bundle.utils.label_names import structures_of

from .datalist_file import DatalistError
from .dataset_info import dataset_ignore_label, dataset_label_values, dataset_labels, labels_file

logger = logging.getLogger(__name__)

NAMES = "label_names"


class DatasetNames:
    """Use the names that a dataset gives its structures, or refuse others.

    Upper and lower case, ``_`` and ``-`` do not matter. A dataset without ``labels``, and a config that reads them
    itself, are left alone.

    Args:
        dataset_dir: folder of the dataset.
        datalist: datalist to read first.
        default: ``label_names`` of the config that those of the dataset replace, with its ``label_values`` and
            ``ignore_label``; None to replace none.
    """

    def __init__(
        self, dataset_dir: str | Path, datalist: str | Path | None = None, *, default: Mapping[str, Any] | None = None
    ) -> None:
        self.dataset_dir, self.datalist, self.default = dataset_dir, datalist, default

    def use(self, parser: ConfigParser, options: Mapping[str, Any] | None = None) -> None:
        """Set the names in a config where they are its default, or check them.

        Args:
            parser: parser of the config, which is changed and parsed again.
            options: what the user has set in the config, by id.

        Raises:
            DatalistError: when the config has other names than the dataset, or those of the dataset cannot be used.
        """
        content = parser.get()
        names = content.get(NAMES)
        path = self._file()
        if path is None or not isinstance(names, Mapping) or "_target_" in names:
            return
        is_given = NAMES in (options or {}) or self.default is None or dict(names) != dict(self.default)
        if is_given:
            self._check(path, names, content.get("label_values"))
            return
        found = dataset_labels(self.dataset_dir, self.datalist)
        if _alike(found) != _alike(names):
            changes = {
                "label_values": dataset_label_values(self.dataset_dir, self.datalist),
                "ignore_label": dataset_ignore_label(self.dataset_dir, self.datalist),
            }
            content[NAMES] = found
            content.update({name: deepcopy(value) for name, value in changes.items() if content.get(name) is None})
            parser.parse(reset=True)
            logger.info("structures of %s: %s", path, ", ".join(found))

    def _file(self) -> Path | None:
        """Return the file that names the structures; None where none does."""
        try:
            return labels_file(self.dataset_dir, self.datalist)
        except (DatalistError, OSError):  # which the list of the cases reports
            return None

    def _check(self, path: Path, names: Mapping[str, Any], values: Any) -> None:
        """Check that no name has another value in the dataset, and no value another name."""
        try:
            known = dataset_labels(self.dataset_dir, self.datalist)
        except DatalistError:
            return
        if values is not None or dataset_label_values(self.dataset_dir, self.datalist) is not None:
            return
        listed, given = _alike(known), _alike(structures_of(names))
        name_of = {value: name for name, value in listed.items()}
        wrong = [
            name
            for name, value in given.items()
            if listed.get(name, value) != value or name_of.get(value, name) != name
        ]
        if wrong:
            raise DatalistError(
                f"{path}: names the structures {known}, but label_names are {structures_of(names)}; use those "
                "of the dataset, or a model that was trained with them."
            )


def _alike(names: Mapping[str, Any]) -> dict[str, Any]:
    """Return names in a form in which those that mean the same are equal; regions of several values are left out."""
    plain = {name: value for name, value in names.items() if isinstance(value, int)}
    return {name.casefold().replace("_", " ").replace("-", " "): value for name, value in plain.items()}
