"""Files at addresses such as ``s3://bucket/scan.nii.gz``, through fsspec, where it is installed."""

from __future__ import annotations

import importlib
import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from bundle.utils.errors import FileError

ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)

STATE = ("size", "ETag", "etag", "mtime", "LastModified", "last_modified", "updated", "created", "md5Hash")
"""Entries of the information about a file that change with its content, of several file systems."""

ADVICE = "check the address and the access to it"


class RemoteFileError(FileError):
    """An address that cannot be read; the message names it and what to do."""


def is_remote(path: str | Path) -> bool:
    """Return whether a path is an address.

    Examples:
        >>> is_remote("s3://bucket/scan.nii.gz"), is_remote("images/scan.nii.gz")
        (True, False)
    """
    return isinstance(path, str) and ADDRESS.match(path) is not None


def list_remote(folder: str) -> list[str]:
    """Return the names of the files directly in a folder at an address, sorted.

    Raises:
        RemoteFileError: if it cannot be listed.
    """
    system, path = _open(folder)
    try:
        found = system.ls(path, detail=True)
    except Exception as error:
        raise RemoteFileError(folder, f"cannot be listed ({_describe(error)})", ADVICE) from error
    names = (PurePosixPath(entry["name"].rstrip("/")).name for entry in found if entry["type"] == "file")
    return sorted(name for name in names if not name.startswith("."))


def describe_remote(address: str) -> list[Any]:
    """Return the address of a file and what changes with its content; the address alone of one that is missing."""
    system, path = _open(address)
    try:
        found = system.info(path)
    except FileNotFoundError:
        return [address]
    return [address, *(str(found[name]) for name in STATE if name in found)]


def fetch(addresses: Sequence[str]) -> tuple[Path, list[Path]]:
    """Copy files to a temporary folder, which the caller removes; nothing is left of a copy that fails.

    Returns:
        The folder and the copies.

    Raises:
        RemoteFileError: if a file cannot be read.
    """
    folder = Path(tempfile.mkdtemp(prefix="keyslice-"))
    copies = []
    for number, address in enumerate(addresses):
        system, path = _open(address)
        target = folder / str(number) / PurePosixPath(path).name
        target.parent.mkdir()
        try:
            system.get_file(path, str(target))
        except Exception as error:
            shutil.rmtree(folder)
            raise RemoteFileError(address, f"cannot be read ({_describe(error)})", ADVICE) from error
        copies.append(target)
    return folder, copies


def _open(address: str) -> tuple[Any, str]:
    """Return the file system and the path of an address."""
    try:
        fsspec = importlib.import_module("fsspec")
        return fsspec.core.url_to_fs(address)
    except ModuleNotFoundError as error:
        raise RemoteFileError(
            address, f"needs the package {error.name}", "pip install 'keyslice[cluster]', or that of its protocol"
        ) from error
    except (ImportError, ValueError) as error:
        raise RemoteFileError(address, f"cannot be opened ({_describe(error)})", ADVICE) from error


def _describe(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
