"""Names that come with a request: no path is made of one that could lead out of the folder of studies."""

from __future__ import annotations

import re
from pathlib import Path

from .server_errors import RequestError

_PLAIN = re.compile(r"[^./\\\x00-\x1f\x7f][^/\\\x00-\x1f\x7f]{0,199}")
_SESSION = re.compile(r"[0-9A-Za-z-]{1,64}")


def check_name(what: str, name: str) -> str:
    """Return a name that is a file name without folders, does not begin with a dot and is not too long.

    Args:
        what: what is named, for the error.
        name: the name.

    Raises:
        RequestError: 400, when the name is none of this kind.
    """
    if not _PLAIN.fullmatch(str(name)):
        raise RequestError(
            400, f"{what} {name!r}: is no plain name; it must not begin with a dot nor hold / or \\ nor be too long."
        )
    return str(name)


def is_session(name: str) -> bool:
    """Tell whether a name can be that of a session."""
    return bool(_SESSION.fullmatch(str(name)))


def file_name(name: str | None, default: str) -> str:
    """Return the name of an uploaded file without the folders that a client may have put before it.

    Raises:
        RequestError: 400, when what is left is no plain name.
    """
    return check_name("file", Path((name or default).replace("\\", "/")).name or default)
