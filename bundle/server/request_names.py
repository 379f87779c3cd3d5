"""Names in requests, checked so that no path leads out of the study folder."""

from __future__ import annotations

import re
from pathlib import Path

from .server_errors import RequestError

_FILE_NAME = re.compile(r"[^./\\\x00-\x1f\x7f][^/\\\x00-\x1f\x7f]{0,199}")
_SESSION_ID = re.compile(r"[0-9A-Za-z-]{1,64}")


def check_name(what: str, name: str) -> str:
    """Return a name if it is a plain file name: without folders, not hidden and not too long.

    Args:
        what: what the name is of, for the error.
        name: the name.

    Raises:
        RequestError: 400, if it is not.
    """
    if not _FILE_NAME.fullmatch(str(name)):
        raise RequestError(
            400,
            f"{what} {name!r}: is not a file name; use up to 200 characters without / and \\, not starting with a dot.",
        )
    return str(name)


def is_session_id(name: str) -> bool:
    """Return whether a text has the format of a session id."""
    return bool(_SESSION_ID.fullmatch(str(name)))


def get_base_name(name: str | None, default: str) -> str:
    """Return the name of an uploaded file without folders.

    Raises:
        RequestError: 400, if it is not a plain file name.
    """
    return check_name("file", Path((name or default).replace("\\", "/")).name or default)
