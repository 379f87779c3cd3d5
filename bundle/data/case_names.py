"""Unique names for cases, which their outputs are named after."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from bundle.io.volume_files import files_of, stem_of

from .datalist_file import Case, DatalistError
from .modalities import shared_name

SUMMARY = "summary"
"""The name of no case: ``summary.json`` is the summary of the run."""


def name_cases(items: Iterable[Case]) -> list[Case]:
    """Name every case after its image; where names clash, prepend the names of the folders above.

    Raises:
        DatalistError: when two images would write the same output.
    """
    cases = list(items)
    parts = [_path_parts(files_of(case["image"])) for case in cases]
    depth = dict.fromkeys(range(len(cases)), 1)
    while True:
        names = ["_".join(part.strip("/") for part in parts[i][-depth[i] :]) for i in depth]
        counts = Counter([*names, SUMMARY])
        clashing = [i for i in depth if counts[names[i]] > 1 and depth[i] < len(parts[i])]
        if not clashing:
            break
        for i in clashing:
            depth[i] += 1
    doubles = [", ".join(files_of(case["image"])) for name, case in zip(names, cases, strict=True) if counts[name] > 1]
    if doubles:
        listed = ", ".join(doubles)
        raise DatalistError(f"these images would write the same output: {listed}; rename or remove all but one.")
    return [{"case": name, **case} for name, case in zip(names, cases, strict=True)]


def name_images(cases: Sequence[Case]) -> list[Case]:
    """Name every case after its 2D image, without the extension, see :func:`name_cases`.

    Raises:
        DatalistError: when two images would write the same output, or an image is a list of files.
    """
    several = [case["image"] for case in cases if len(files_of(case["image"])) > 1]
    if several:
        raise DatalistError(f"{several[0]}: a 2D image is one file; only volumes have channels in separate files.")
    names = [case["case"] for case in name_cases({"image": str(Path(case["image"]).with_suffix(""))} for case in cases)]
    return [{**case, "case": name} for name, case in zip(names, cases, strict=True)]


def _path_parts(files: Sequence[str]) -> tuple[str, ...]:
    """Return the folders and the name of an image; of several files, what their names share, else the folder's name."""
    first = Path(files[0])
    if first.name in ("", ".."):  # a folder that is named by its place
        files = [str(first.resolve())]
    folders = Path(files[0]).parts[:-1]
    stems = [stem_of(file) for file in files]
    if len(stems) == 1:
        return (*folders, stems[0])
    shared = shared_name(stems)
    return (*folders, shared) if shared else folders or tuple(stems[:1])
