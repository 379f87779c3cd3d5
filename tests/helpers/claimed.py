"""Runs that share a folder, and their ends."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from bundle.inference.claims import Claims

NO_PROCESS = 2**22 + 7
"""A number that no process has."""


def kill(claims: Claims) -> None:
    """Leave what the process of a run leaves when it is killed."""
    _end(claims)
    _change(claims, pid=NO_PROCESS)


def silence(claims: Claims, seconds: float = 0.0) -> None:
    """Let a run be one of another machine that has shown no life for ``seconds``."""
    _end(claims)
    _change(claims, machine="another")
    path = _run(claims)
    changed = path.stat().st_mtime - seconds
    os.utime(path, (changed, changed))


def _end(claims: Claims) -> None:
    assert claims._stop is not None
    claims._stop.set()
    assert claims._thread is not None
    claims._thread.join()


def _change(claims: Claims, **values: Any) -> None:
    path = _run(claims)
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def _run(claims: Claims) -> Path:
    return claims.folder / f"{claims.token}.run"
