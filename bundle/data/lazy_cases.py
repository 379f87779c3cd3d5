"""Lists of many cases that take little memory: each case is made when it is asked for."""

from __future__ import annotations

import csv
import json
from array import array
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np

from bundle.io.remote_files import is_remote
from bundle.io.volume_files import files_of, stem_of

from .case_names import SUMMARY
from .datalist_file import Case, DatalistError

CSV_ENDING = ".csv"
LINES_ENDINGS = (".jsonl", ".ndjson")
MANIFESTS = (CSV_ENDING, *LINES_ENDINGS)
"""Endings of manifests."""


class LazyCases(Sequence[Case]):
    """Cases that are made one by one."""

    @overload
    def __getitem__(self, index: int) -> Case: ...

    @overload
    def __getitem__(self, index: slice) -> list[Case]: ...

    def __getitem__(self, index: int | slice) -> Case | list[Case]:
        """Return a case, or a list of them."""
        if isinstance(index, slice):
            return [self.case(number) for number in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        return self.case(index % len(self))

    def case(self, index: int) -> Case:
        """Return one case."""
        raise NotImplementedError


NameOf = Callable[[str], str]
"""Names a case after the path of its image."""


def image_stem(path: str | Path) -> str:
    """Return the name of a 2D image without its ending, and without that of a volume before it."""
    return stem_of(Path(path).with_suffix(""))


class FolderCases(LazyCases):
    """Cases of the files of a folder, whose names are all that is kept.

    Args:
        folder: the folder, or its address.
        names: names of its files, or their paths relative to it, in the order of the cases.
        name_of: names the cases.
    """

    def __init__(self, folder: str, names: Sequence[str], name_of: NameOf = stem_of) -> None:
        self.folder, self.names, self.name_of = folder, names, name_of

    def __len__(self) -> int:
        return len(self.names)

    def case(self, index: int) -> Case:
        """Return one case."""
        name = self.names[index]
        return {"case": self.name_of(name), "image": path_in(self.folder, name)}


class ManifestCases(LazyCases):
    """Cases of a manifest, whose places in the file, 8 bytes each, are all that is kept.

    A manifest is a CSV with the columns ``image`` and, if wanted, ``case``; or has a JSON object with these keys in
    each line (``.jsonl``), where an image may be a list of files, one per channel. Paths are relative to the file.

    Args:
        path: the manifest.
        name_of: names the cases that have no name.
        channels: whether an image may be several files.

    Raises:
        DatalistError: if it cannot be read, a line has another form, or two cases have the same name.
    """

    def __init__(self, path: Path, name_of: NameOf = stem_of, *, channels: bool = True) -> None:
        self.path, self.name_of, self.channels = path, name_of, channels
        self.places = array("Q")
        self.columns: list[str] = []
        try:
            with open(path, "rb") as stream:
                if path.suffix.lower() == CSV_ENDING:
                    self.columns = _cells(stream.readline().decode("utf-8-sig"))
                    if "image" not in self.columns:
                        raise DatalistError(
                            f"{path}: has no column 'image'; a manifest has image and, if wanted, case."
                        )
                hashes = array("q")
                place = stream.tell()
                for number, line in enumerate(stream, start=1):
                    if line.strip():
                        hashes.append(hash(self._case(line, number)["case"]))
                        self.places.append(place)
                    place += len(line)
        except (OSError, UnicodeDecodeError) as error:
            raise DatalistError(f"{path}: cannot be read ({error}); pass --input with a manifest.") from error
        if not self.places:
            raise DatalistError(f"{path}: lists no image.")
        self._require_unique(np.frombuffer(hashes, dtype=np.int64))

    def __len__(self) -> int:
        return len(self.places)

    def case(self, index: int) -> Case:
        """Return one case."""
        with open(self.path, "rb") as stream:
            stream.seek(self.places[index])
            return self._case(stream.readline(), index + 1)

    def _case(self, line: bytes, number: int) -> Case:
        """Return the case of a line."""
        text = line.decode("utf-8-sig")
        try:
            entry = dict(zip(self.columns, _cells(text), strict=False)) if self.columns else json.loads(text)
            image = entry["image"]
            files = [_absolute(file, self.path.parent) for file in ([image] if isinstance(image, str) else image)]
            name = entry.get("case") or self.name_of(files[0])
            if not files or not isinstance(name, str) or "/" in name:
                raise ValueError("a case has a name without / and at least one image")
            if len(files) > 1 and not self.channels:
                raise ValueError("a 2D image is one file; only volumes have channels in separate files")
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise DatalistError(
                f"{self.path}: line {number} is not a case ({type(error).__name__}: {error}): {text.strip()[:80]}"
            ) from error
        return {"case": name, "image": files if len(files) > 1 else files[0]}

    def _require_unique(self, hashes: np.ndarray) -> None:
        """Check that all names differ, by their hashes, whose order changes."""
        doubles = _doubles(hashes)
        if doubles:
            name = next(case["case"] for case in self if hash(case["case"]) in doubles)
            raise DatalistError(f"{self.path}: two cases would write the same output, {name}; name them by 'case'.")


def has_unique_names(names: Sequence[str], name_of: NameOf = stem_of) -> bool:
    """Return whether the cases of files write different outputs."""
    found: Iterator[int] = (hash(name_of(name)) for name in names)
    return not _doubles(np.fromiter(found, np.int64, len(names)))


def _doubles(hashes: np.ndarray) -> set[int]:
    """Sort hashes of names, and return those that are there twice, or are that of the summary."""
    hashes.sort()
    found = set(hashes[1:][hashes[1:] == hashes[:-1]].tolist())
    place = int(np.searchsorted(hashes, hash(SUMMARY)))
    return found | ({hash(SUMMARY)} & set(hashes[place : place + 1].tolist()))


def path_in(folder: str, name: str) -> str:
    """Return the path of a file in a folder, or its address."""
    return f"{folder.rstrip('/')}/{name}" if is_remote(folder) else str(Path(folder, name))


def _cells(line: str) -> list[str]:
    return next(csv.reader([line]), [])


def _absolute(file: Any, folder: Path) -> str:
    if not isinstance(file, str) or not file:
        raise ValueError("an image is a path")
    return file if is_remote(file) else str(folder / file)


def local_files(case: Case) -> list[str]:
    """Return the files of a case on this machine."""
    return [file for file in files_of(case["image"]) if not is_remote(file)]
