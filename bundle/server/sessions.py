"""Sessions: uploaded images that are not added to the study folder."""

from __future__ import annotations

import json
import logging
import shutil
import zipfile
from pathlib import Path
from typing import Any

from monailabel.utils.sessions import Sessions

from .request_names import is_session_id
from .server_errors import RequestError

logger = logging.getLogger(__name__)


class StudySessions(Sessions):
    """MONAI Label's sessions with checked ids and archives.

    MONAI Label 0.8.5 reads any folder that a session id names, does not start if a session lacks ``meta.info``, and
    extracts tar files to any path they contain.
    """

    def get_session(self, session_id: str, update_ts: bool = True, fetch_cache: bool = True) -> Any:
        """Return the record of a session, or None if there is none."""
        return super().get_session(session_id, update_ts, fetch_cache) if is_session_id(session_id) else None

    def remove_session(self, session_id: str) -> None:
        """Remove a session and its files."""
        if is_session_id(session_id):
            super().remove_session(session_id)

    def add_session(
        self, data_file: str, expiry: int = 0, uncompress: bool = False, session_id: str | None = None
    ) -> Any:
        """Create a session from an upload; ``uncompress`` extracts a zip archive.

        Raises:
            RequestError: 400, if ``uncompress`` is set and the file is not a zip archive.
        """
        if uncompress and not (data_file.endswith(".zip") and zipfile.is_zipfile(data_file)):
            raise RequestError(400, f"{Path(data_file).name}: is not a zip archive; send one, or omit uncompress.")
        return super().add_session(data_file, expiry, uncompress, session_id)

    def remove_expired(self) -> int:
        """Remove expired sessions and the rest of interrupted uploads."""
        for folder in Path(self.store_path).glob("*"):
            if folder.is_dir() and not _is_complete(folder):
                logger.warning("session %s is incomplete and was removed", folder.name)
                shutil.rmtree(folder, ignore_errors=True)
        return int(super().remove_expired())


def _is_complete(folder: Path) -> bool:
    try:
        return Path(json.loads((folder / "meta.info").read_text(encoding="utf-8"))["image"]).exists()
    except (OSError, ValueError, KeyError, TypeError):
        return False
