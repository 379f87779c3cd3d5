"""Sessions: images that a client uploads to work on without adding them to the studies."""

from __future__ import annotations

import json
import logging
import shutil
import zipfile
from pathlib import Path
from typing import Any

from monailabel.utils.sessions import Sessions

from .request_names import is_session
from .server_errors import RequestError

logger = logging.getLogger(__name__)


class StudySessions(Sessions):
    """MONAI Label's sessions, whose names lead nowhere else and whose leftovers stop nothing.

    For MONAI Label 0.8.5, which reads whatever folder a session is named after, fails to start when one has no
    ``meta.info``, and unpacks tar files to wherever they say.
    """

    def get_session(self, session_id: str, update_ts: bool = True, fetch_cache: bool = True) -> Any:
        """Return what is known of a session, or None where there is none."""
        return super().get_session(session_id, update_ts, fetch_cache) if is_session(session_id) else None

    def remove_session(self, session_id: str) -> None:
        """Remove a session and its files."""
        if is_session(session_id):
            super().remove_session(session_id)

    def add_session(
        self, data_file: str, expiry: int = 0, uncompress: bool = False, session_id: str | None = None
    ) -> Any:
        """Take an upload; ``uncompress`` is for zip archives.

        Raises:
            RequestError: 400, when an archive is asked for and the file is none.
        """
        if uncompress and not (data_file.endswith(".zip") and zipfile.is_zipfile(data_file)):
            raise RequestError(400, f"{Path(data_file).name}: is no zip archive; send one, or leave out uncompress.")
        return super().add_session(data_file, expiry, uncompress, session_id)

    def remove_expired(self) -> int:
        """Remove the sessions that nobody has used for long, and what an upload that broke off has left."""
        for folder in Path(self.store_path).glob("*"):
            if folder.is_dir() and not _whole(folder):
                logger.warning("session %s is broken and removed", folder.name)
                shutil.rmtree(folder, ignore_errors=True)
        return int(super().remove_expired())


def _whole(folder: Path) -> bool:
    try:
        return Path(json.loads((folder / "meta.info").read_text(encoding="utf-8"))["image"]).exists()
    except (OSError, ValueError, KeyError, TypeError):
        return False
