"""Lists of the cases to segment, from what a user names: a file, a folder, or a ``dataset.json``."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from bundle.io.dicom_headers import series_in
from bundle.io.remote_files import is_remote, list_remote
from bundle.io.volume_files import ENDINGS, files_of, is_dicom, stem_of, volume_names, volumes_in
from bundle.utils.packed_names import PackedNames
from bundle.utils.parse_bool import parse_bool
from bundle.utils.path_options import check_path_options

from .case_names import name_cases, name_images
from .datalist_file import Case, DatalistError, read_datalist, read_section
from .input_folders import ListNames, Unlisted, bids_names, matching_files, names_below
from .lazy_cases import (
    MANIFESTS,
    FolderCases,
    ManifestCases,
    NameOf,
    has_unique_names,
    image_stem,
    local_files,
    path_in,
)
from .modalities import describe_missing, find_images, find_other_volumes
from .pairing import IMAGE_ENDINGS, image_names

logger = logging.getLogger(__name__)

MANY = 1000
"""Files of a folder above which their cases are made when they are asked for."""

LABEL_MAP = "_seg.dcm"
"""How the names of label maps in DICOM end."""


class Kind(NamedTuple):
    """What volumes and 2D images differ in.

    Attributes:
        title: what they are called.
        endings: endings of those at an address.
        list_names: lists those of a folder.
        name_of: names a case after its file.
        name_all: names cases whose files may have the same name.
    """

    title: str
    endings: tuple[str, ...]
    list_names: ListNames
    name_of: NameOf
    name_all: Callable[[list[Case]], list[Case]]


VOLUME = Kind("volumes", ENDINGS, volume_names, stem_of, name_cases)
IMAGE = Kind("images", IMAGE_ENDINGS, image_names, image_stem, name_images)


def list_cases(
    input: str | Path,  # noqa: A002 - the config id that users set
    output_dir: str | Path | None = None,
    *,
    modalities: Sequence[str] | None = None,
    recursive: bool | int | str = False,
) -> Sequence[Case]:
    """List the cases to segment.

    Args:
        input: a volume (NIfTI, NRRD, MetaImage, or a zip archive with a DICOM series), a folder, a pattern with ``*``
            for several of these, a ``dataset.json`` in MSD form (its ``test`` section; paths relative to the file), or
            a manifest (CSV or JSON lines, see :class:`bundle.data.lazy_cases.ManifestCases`). A file or a folder may
            be an address such as ``s3://bucket/folder``, see :mod:`bundle.io.remote_files`.
            Of a folder, the volumes directly in it are listed, with those of formats that are not read, and the DICOM
            series in it or at any depth below, each series of a folder as a case; of a BIDS dataset, the volumes in its
            ``anat`` folders. Other volumes in folders below are logged.
        output_dir: where results will go; no image may lie in it. A folder of results in ``input`` is not a case.
        modalities: names of the channels of an image, in their order. Where there are several, files
            ``<case>_<modality>``, or ``<modality>`` in a folder of the case, at whatever depth of the folder, are
            channels of one image. An image that lacks a file, and a volume that belongs to no image, are cases too, so
            that loading reports them.
        recursive: also list the volumes in folders below, at any depth; text such as ``"true"`` is understood.

    Returns:
        The cases, sorted by path. A path that does not exist is a case too: loading it reports what is wrong.

    Raises:
        DatalistError: when nothing is named, a folder holds no volume, a JSON file is not a datalist, or an image lies
            in ``output_dir``.
    """
    check_path_options(input=input, output_dir=output_dir)
    if not str(input):
        raise DatalistError("input is not set; pass --input with a volume, a folder of them, or a dataset.json.")
    path = Path(str(input))
    cases: Sequence[Case]
    if is_remote(str(input)):
        cases = _list_remote(str(input), VOLUME)
    elif path.suffix.lower() in MANIFESTS:
        cases = ManifestCases(path)
    elif modalities is not None and len(modalities) > 1 and path.is_dir():
        cases = _list_channels(path, modalities, output_dir)
    else:
        cases = _list_volumes(path, output_dir, recursive=parse_bool("recursive", recursive))
    _require_outside(cases, output_dir)
    return cases


def list_images(
    input: str | Path,  # noqa: A002 - the config id that users set
    output_dir: str | Path | None = None,
    *,
    recursive: bool | int | str = False,
) -> Sequence[Case]:
    """List the 2D images to segment or classify, as :func:`list_cases` does volumes.

    Args:
        input: an image, a folder of images, a pattern with ``*``, a ``dataset.json`` (its ``test`` section; paths
            relative to it), or a manifest (CSV or JSON lines, see :class:`bundle.data.lazy_cases.ManifestCases`). A
            file or a folder may be an address, see :mod:`bundle.io.remote_files`.
        output_dir: where results will go; no image may lie in it.
        recursive: also list the images in folders below, at any depth; text such as ``"true"`` is understood.

    Returns:
        The cases ``{"case": name, "image": path}``, sorted by path. A path that does not exist is a case too: loading
        it reports what is wrong.

    Raises:
        DatalistError: when nothing is named, a folder holds no image, a JSON file is not a datalist, two images would
            write the same output, or an image lies in ``output_dir``.
    """
    check_path_options(input=input, output_dir=output_dir)
    if not str(input):
        raise DatalistError("input is not set; pass --input with an image, a folder of them, or a dataset.json.")
    path = Path(str(input))
    cases: Sequence[Case]
    if is_remote(str(input)):
        cases = _list_remote(str(input), IMAGE)
    elif path.suffix.lower() in MANIFESTS:
        cases = ManifestCases(path, image_stem, channels=False)
    elif path.is_dir():
        cases = _list_images(path, output_dir, recursive=parse_bool("recursive", recursive))
    else:
        cases = _list_file(path, IMAGE)
    _require_outside(cases, output_dir)
    return cases


def _list_channels(root: Path, modalities: Sequence[str], output_dir: str | Path | None) -> Sequence[Case]:
    """List images of several files, and all that is beside them and of no image."""
    images = find_images(root, modalities)
    gaps = [describe_missing(image) for image in images if image.missing]
    if len(gaps) == len(images) and not volumes_in(root):
        raise DatalistError(
            f"{root}: the folder holds no files whose names end with {', '.join(modalities)}"
            f"{f' ({gaps[0]})' if gaps else ''}; pass --input with a folder that does, of 4-D volumes, or a "
            "dataset.json."
        )
    if not images:
        return _list_volumes(root, output_dir)
    for gap in gaps:
        logger.warning("%s", gap)
    alone, beside = find_other_volumes(root, images)
    if beside:
        logger.info("%s: %d volumes beside the channels are not used, such as %s", root, len(beside), beside[0])
    others = [*(file for file in alone if not _is_result(file, output_dir)), *_series(root, output_dir)]
    cases: list[Case] = [{"image": image.files} for image in images] + [{"image": str(path)} for path in others]
    return name_cases(sorted(cases, key=lambda case: files_of(case["image"])))


def _series(root: Path, output_dir: str | Path | None) -> list[Path]:
    return [folder for folder in series_in(root) if not _holds_results(folder, output_dir)]


def _is_result(file: Path, output_dir: str | Path | None) -> bool:
    return output_dir is not None and file.parent.resolve() == Path(str(output_dir)).resolve()


def _list_remote(address: str, kind: Kind) -> Sequence[Case]:
    if address.lower().endswith(kind.endings):
        return kind.name_all([{"image": address}])
    names = PackedNames(name for name in list_remote(address) if name.lower().endswith(kind.endings))
    if not names:
        raise DatalistError(f"{address}: holds no {', '.join(kind.endings)} file.")
    return _named(address, names, kind)


def _named(folder: str, names: Sequence[str], kind: Kind) -> Sequence[Case]:
    """Return the cases of files in a folder, with little memory where there are many of different names."""
    if len(names) > MANY and has_unique_names(names, kind.name_of):
        return FolderCases(folder, names, kind.name_of)
    return kind.name_all([{"image": path_in(folder, name)} for name in names])


def _list_volumes(path: Path, output_dir: str | Path | None, *, recursive: bool = False) -> Sequence[Case]:
    if not path.is_dir():
        return _list_file(path, VOLUME)
    series = [folder.relative_to(path).as_posix() for folder in _series(path, output_dir)]
    own = chain(volume_names(path), series)
    below = names_below(path, volume_names, output_dir)
    unlisted = Unlisted()
    if recursive:
        names = PackedNames(chain(own, below))
    else:
        names = PackedNames(own) or PackedNames(bids_names(path, below, unlisted))
        _count(below, unlisted)
    if not names:
        raise DatalistError(
            f"{path}: the folder holds no .nii, .nii.gz, .nrrd, .mha, .mhd or .zip file and no DICOM series"
            f"{_hint(path, unlisted)}; pass --input FILE_OR_FOLDER."
        )
    _log_unlisted(path, unlisted, VOLUME)
    return _named(str(path), names, VOLUME)


def _list_images(path: Path, output_dir: str | Path | None, *, recursive: bool) -> Sequence[Case]:
    below, unlisted = names_below(path, image_names, output_dir), Unlisted()
    names = PackedNames(chain(image_names(path), below if recursive else ()))
    if not recursive:
        _count(below, unlisted)
    if not names:
        raise DatalistError(f"{path}: the folder holds no image{_hint(path, unlisted)}; pass --input FILE_OR_FOLDER.")
    _log_unlisted(path, unlisted, IMAGE)
    return _named(str(path), names, IMAGE)


def _list_file(path: Path, kind: Kind) -> Sequence[Case]:
    """List the images of a datalist, those that a pattern names, or another path, whether it exists or not."""
    if path.suffix.lower() == ".json":
        items = read_section(read_datalist(path), "test", path)
        if not items:
            raise DatalistError(f"{path}: the section 'test' lists no image to segment.")
        return kind.name_all([{"image": item["image"]} for item in items])
    names = () if path.exists() else matching_files(path)
    return _named("", names, kind) if names else kind.name_all([{"image": str(path)}])


def _count(names: Iterator[str], unlisted: Unlisted) -> None:
    for name in names:
        unlisted.add(name)


def _hint(path: Path, unlisted: Unlisted) -> str:
    """Return how to list what is in folders below, as a part of a message."""
    if unlisted.first is None:
        return ""
    folder = (path / unlisted.first).parent
    return f", but {folder} holds some; pass --recursive true to list all {unlisted.count}"


def _log_unlisted(path: Path, unlisted: Unlisted, kind: Kind) -> None:
    if unlisted.first is not None:
        logger.warning(
            "%s: %d %s in folders below are not listed, such as %s; pass --recursive true, or their folder as --input",
            *(path, unlisted.count, kind.title, path / unlisted.first),
        )


def _holds_results(folder: Path, output_dir: str | Path | None) -> bool:
    """Return whether a folder is that of the results, with label maps as its only DICOM files."""
    if output_dir is None or folder.resolve() != Path(str(output_dir)).resolve():
        return False
    return all(file.name.endswith(LABEL_MAP) for file in folder.glob("*") if is_dicom(file))


def _require_outside(cases: Sequence[Case], output_dir: str | Path | None) -> None:
    """Check that no image lies in the folder of the results, which could overwrite it or be taken for input later.

    Raises:
        DatalistError: when one does.
    """
    if output_dir is None:
        return
    target, resolve = Path(str(output_dir)).resolve(), lru_cache(lambda parent: Path(parent).resolve())
    for case in cases:
        for file in local_files(case):
            parent, name = os.path.split(file)
            image = Path(file).resolve() if os.path.islink(file) or name == ".." else resolve(parent) / name
            if target in (image.parent, image):
                raise DatalistError(f"{file}: lies in output_dir, among the results; pass another --output_dir.")
