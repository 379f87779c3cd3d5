"""Lists of the cases to segment, from what a user names: a file, a folder, or a ``dataset.json``."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from bundle.io.dicom_headers import series_in
from bundle.io.remote_files import is_remote, list_remote
from bundle.io.volume_files import ENDINGS, files_of, is_dicom, unread_volumes_in, volumes_in
from bundle.utils.parse_bool import parse_bool
from bundle.utils.path_options import check_path_options

from .case_names import name_cases, name_images
from .datalist_file import Case, DatalistError, read_datalist, read_section
from .input_folders import bids_images, images_below, matching_files
from .lazy_cases import MANIFESTS, FolderCases, ManifestCases, has_unique_names, local_files, path_in
from .modalities import describe_missing, find_images, find_other_volumes
from .pairing import images_in, unread_images_in

logger = logging.getLogger(__name__)

MANY = 1000
"""Files of a folder above which their cases are made when they are asked for."""

LABEL_MAP = "_seg.dcm"
"""How the names of label maps in DICOM end."""


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
        cases = _list_remote(str(input))
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
) -> list[Case]:
    """List the 2D images to segment or classify, as :func:`list_cases` does volumes.

    Args:
        input: an image, a folder of images, a pattern with ``*``, or a ``dataset.json`` (its ``test`` section; paths
            relative to it).
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
    if path.is_dir():
        files = _images_of_any_format(path)
        deeper = images_below(path, _images_of_any_format, output_dir)
        if parse_bool("recursive", recursive):
            files, deeper = sorted([*files, *deeper]), []
        if not files:
            raise DatalistError(f"{path}: the folder holds no image{_hint(deeper)}; pass --input FILE_OR_FOLDER.")
        _log_deeper(path, deeper, "images")
        found = [{"image": str(file)} for file in files]
    elif path.suffix.lower() == ".json":
        found = [{"image": item["image"]} for item in read_section(read_datalist(path), "test", path)]
        if not found:
            raise DatalistError(f"{path}: the section 'test' lists no image.")
    else:
        found = [{"image": str(file)} for file in _files(path)]
    cases = name_images(found)
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


def _images_of_any_format(folder: Path) -> list[Path]:
    """Return the 2D images of a folder, those of formats that may not be read among them."""
    found = images_in(folder)
    stems = {file.stem for file in found}
    others = [file for file in unread_images_in(folder) if file.stem not in stems]
    return sorted([*found, *others])


def _series(root: Path, output_dir: str | Path | None) -> list[Path]:
    return [folder for folder in series_in(root) if not _holds_results(folder, output_dir)]


def _is_result(file: Path, output_dir: str | Path | None) -> bool:
    return output_dir is not None and file.parent.resolve() == Path(str(output_dir)).resolve()


def _list_remote(address: str) -> Sequence[Case]:
    if address.lower().endswith(ENDINGS):
        return name_cases([{"image": address}])
    names = [name for name in list_remote(address) if name.lower().endswith(ENDINGS)]
    if not names:
        raise DatalistError(f"{address}: holds no {', '.join(ENDINGS)} file.")
    return _files_of_folder(address, names)


def _files_of_folder(folder: str, names: Sequence[str]) -> Sequence[Case]:
    """Return the cases of files of one folder, with little memory where there are many of different names."""
    if len(names) > MANY and has_unique_names(names):
        return FolderCases(folder, names)
    return name_cases({"image": path_in(folder, name)} for name in names)


def _list_volumes(path: Path, output_dir: str | Path | None, *, recursive: bool = False) -> Sequence[Case]:
    if path.is_dir():
        images = [*_volumes_of_any_format(path), *_series(path, output_dir)]
        images += bids_images(path) if not images and not recursive else []
        known = set(images)
        deeper = [file for file in images_below(path, _volumes_of_any_format, output_dir) if file not in known]
        if recursive:
            images, deeper = [*images, *deeper], []
        if not images:
            raise DatalistError(
                f"{path}: the folder holds no .nii, .nii.gz, .nrrd, .mha, .mhd or .zip file and no DICOM series"
                f"{_hint(deeper)}; pass --input FILE_OR_FOLDER."
            )
        _log_deeper(path, deeper, "volumes")
        if all(image.parent == path for image in images):
            return _files_of_folder(str(path), [image.name for image in images])
        return name_cases({"image": str(image)} for image in images)
    if path.suffix.lower() == ".json":
        items = read_section(read_datalist(path), "test", path)
        if not items:
            raise DatalistError(f"{path}: the section 'test' lists no image to segment.")
        return name_cases({"image": item["image"]} for item in items)
    return name_cases([{"image": str(file)} for file in _files(path)])


def _volumes_of_any_format(folder: Path) -> list[Path]:
    return [*volumes_in(folder), *unread_volumes_in(folder)]


def _files(path: Path) -> list[Path]:
    """Return the files that a pattern names; another path alone, whether it exists or not."""
    return ([] if path.exists() else matching_files(path)) or [path]


def _hint(deeper: Sequence[Path]) -> str:
    """Return how to list what is in folders below, as a part of a message."""
    return f", but {deeper[0].parent} holds some; pass --recursive true to list all {len(deeper)}" if deeper else ""


def _log_deeper(path: Path, deeper: Sequence[Path], kind: str) -> None:
    if deeper:
        logger.warning(
            "%s: %d %s in folders below are not listed, such as %s; pass --recursive true, or their folder as --input",
            *(path, len(deeper), kind, deeper[0]),
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
    target, resolve = Path(str(output_dir)).resolve(), cache(lambda parent: Path(parent).resolve())
    for case in cases:
        for file in local_files(case):
            parent, name = os.path.split(file)
            image = Path(file).resolve() if os.path.islink(file) or name == ".." else resolve(parent) / name
            if target in (image.parent, image):
                raise DatalistError(f"{file}: lies in output_dir, among the results; pass another --output_dir.")
