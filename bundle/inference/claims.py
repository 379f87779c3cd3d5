"""Claims of cases: processes that share an output folder, also over NFS, compute every case once.

Nothing here locks a file or compares the clocks of two machines. A claim is a file that is created exclusively. A run
is a file that its process touches; it is compared with the file of another run, so that both times are those of the
file server. A claim of a process that has ended is followed by one with the next number, so that of two processes that
want it, one gets it.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import socket
import threading
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

from bundle.utils.atomic_write import atomic_write
from bundle.utils.write_json import write_json

logger = logging.getLogger(__name__)

CLAIMS = ".claims"
"""Folder of the claims in the folder of the results."""

EXPIRY = 90.0
"""Seconds without a sign of life after which a process is taken for ended, where it cannot be looked up."""

ATTEMPTS = 2
"""Processes that a case may end before it counts as failed."""

PARTIAL = ".partial_"
"""Begin of the names of files that are being written."""

SIGNS_OF_LIFE = 6
"""Signs of life of a process until its claims would expire."""


class ClaimLostError(Exception):
    """A case that another process has taken over, or completed, while this one was computing it."""


class ProcessDeathError(RuntimeError):
    """A case whose process ended without a word, as for want of memory, as often as is allowed."""


@dataclass(frozen=True)
class Claim:
    """The right of a process to compute a case.

    Attributes:
        folder: folder of the claims.
        case: name of the case.
        token: name of the run.
        number: 1, or more if processes before this one have ended while they held the case.
        previous: description of the process before this one; empty for none.
    """

    folder: Path
    case: str
    token: str
    number: int = 1
    previous: str = ""

    @property
    def path(self) -> Path:
        """File of the claim."""
        return _file(self.folder, self.case, self.number)

    def is_held(self) -> bool:
        """Return whether the process still has the right: no other has taken the case over."""
        if _file(self.folder, self.case, self.number + 1).exists():
            return False
        return _read(self.path).get("run") == self.token

    def require(self) -> None:
        """Check that the claim is held.

        Raises:
            ClaimLostError: if another process has taken the case over.
        """
        if not self.is_held():
            raise ClaimLostError(f"{self.case}: another process has taken the case over")

    def check_attempts(self) -> None:
        """Check that the case has not ended too many processes.

        Raises:
            ProcessDeathError: if it has.
        """
        if self.number > ATTEMPTS:
            raise ProcessDeathError(
                f"{ATTEMPTS} processes ended while they computed it, the last one {self.previous}; it may need more "
                "memory than a process has"
            )

    def commit(self, path: Path, content: Any) -> None:
        """Write the JSON of the case, unless there is one.

        Raises:
            ClaimLostError: if there is one: another process has completed the case.
        """
        self.require()
        partial = self.folder / f"{PARTIAL}{uuid.uuid4().hex}"  # without the case: a long name must fit once more
        write_json(partial, content)
        try:
            _move_exclusively(partial, path)
        except FileExistsError:
            raise ClaimLostError(f"{self.case}: another process has completed the case") from None
        finally:
            partial.unlink(missing_ok=True)

    def release(self) -> None:
        """Give the case back, completed or not."""
        if self.is_held():
            for number in range(self.number, 0, -1):
                _file(self.folder, self.case, number).unlink(missing_ok=True)


class Claims:
    """Claims of one run in a folder of results.

    The run begins with its first claim. Its process shows that it lives by touching a file, until :meth:`close` or its
    end.

    Args:
        folder: folder of the results.
        expiry: seconds without a sign of life after which another process is taken for ended. Processes of the same
            machine are looked up, so that their end is known at once.
    """

    def __init__(self, folder: str | Path, *, expiry: float = EXPIRY) -> None:
        self.folder, self.expiry = Path(folder) / CLAIMS, expiry
        self.token = uuid.uuid4().hex[:16]
        self.started = 0.0
        self._stop: threading.Event | None = None
        self._thread: threading.Thread | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for another process, which gives no signs of life for this one."""
        return {**self.__dict__, "_stop": None, "_thread": None}

    def open(self) -> None:
        """Begin the run, if it has not begun."""
        if self._stop is not None:
            return
        self._stop = threading.Event()
        now = self._touch()
        others = [run for run in self._runs() if self._is_alive(run)]
        starts = (_read(self._run(run)).get("started") for run in others)
        self.started = min([now, *filter(None, starts)])  # a run that is just beginning has 0 in its file
        write_json(self._run(self.token), {**_this_process(), "started": now})
        self._thread = threading.Thread(target=self._show_life, args=(self._stop,), name="claims", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def take(self, case: str) -> Claim | None:
        """Claim a case; None if another process, or this one, has it.

        The claim after :data:`ATTEMPTS` ended processes is made too: its holder records the case as failed, see
        :meth:`Claim.check_attempts`.
        """
        self.open()
        number, holder = self._last(case)
        if number and self._is_held(_file(self.folder, case, number), holder):
            return None
        previous = f"process {holder.get('pid')} on {holder.get('host')}" if number else ""
        claim = Claim(self.folder, case, self.token, number + 1, previous)
        try:
            with open(claim.path, "x", encoding="utf-8") as stream:
                json.dump({"run": self.token, **_this_process()}, stream)
        except FileExistsError:
            return None
        return claim

    def held(self, case: str) -> Claim | None:
        """Return the claim of this run, also if a process that was forked from it asks; None if it has none."""
        number, holder = self._last(case)
        if holder.get("run") != self.token:
            return None
        previous = _read(_file(self.folder, case, number - 1)) if number > 1 else {}
        return Claim(
            *(self.folder, case, self.token, number), f"process {previous.get('pid')} on {previous.get('host')}"
        )

    def close(self) -> None:
        """End the run: give back what it holds, and remove what ended processes have left."""
        if self._stop is None or self._thread is None:
            return
        self._stop.set()
        self._thread.join()
        self._stop = self._thread = None
        atexit.unregister(self.close)
        left = [path for path in self._files() if not self._is_of_living(path)]
        for path in [self._run(self.token), *left]:
            path.unlink(missing_ok=True)
        with suppress(OSError):
            self.folder.rmdir()

    def _last(self, case: str) -> tuple[int, dict[str, Any]]:
        """Return the number and the content of the last claim of a case; 0 for none.

        There are more than ``ATTEMPTS + 1`` where processes ended before they recorded the case as failed.
        """
        last = next(number for number in count(ATTEMPTS + 1) if not _file(self.folder, case, number + 1).exists())
        for number in range(last, 0, -1):
            path = _file(self.folder, case, number)
            if path.exists():
                return number, _read(path)
        return 0, {}

    def _is_of_living(self, path: Path) -> bool:
        """Return whether a file in the folder of the claims belongs to a run whose process has not ended."""
        if path.suffix == ".run":
            return self._is_alive(path.stem)
        return self._is_held(path, _read(path))

    def _is_held(self, path: Path, holder: dict[str, Any]) -> bool:
        """Return whether the holder of a claim has not ended; nothing is known of a claim that is being written."""
        if holder:
            return self._is_alive(str(holder.get("run")))
        try:
            return self._touch() - path.stat().st_mtime < self.expiry
        except FileNotFoundError:
            return False

    def _is_alive(self, run: str) -> bool:
        """Return whether the process of a run has not ended."""
        if run == self.token:
            return self._stop is not None
        path = self._run(run)
        process = _read(path)
        if process.get("machine") == _machine() and _start_time(process.get("pid")) != process.get("since"):
            return False
        try:
            age = self._touch() - os.stat(path).st_mtime
        except FileNotFoundError:
            return False
        return age < self.expiry

    def _touch(self) -> float:
        """Show that this run lives, and return the time of the file server."""
        path = self._run(self.token)
        try:
            os.utime(path)
        except FileNotFoundError:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_json(path, {**_this_process(), "started": self.started})
        return os.stat(path).st_mtime

    def _show_life(self, stop: threading.Event) -> None:
        while not stop.wait(self.expiry / SIGNS_OF_LIFE):
            with suppress(OSError):
                self._touch()

    def _files(self) -> Iterator[Path]:
        if self.folder.is_dir():
            yield from (path for path in self.folder.iterdir() if not path.name.startswith(PARTIAL))

    def _runs(self) -> list[str]:
        return [path.stem for path in self._files() if path.suffix == ".run" and path.stem != self.token]

    def _run(self, token: str) -> Path:
        return self.folder / f"{token}.run"


def _file(folder: Path, case: str, number: int) -> Path:
    return folder / f"{case}.{number}"


def _read(path: Path) -> dict[str, Any]:
    """Return the content of a claim or a run; nothing of one that is missing or being written."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _move_exclusively(source: Path, target: Path) -> None:
    """Move a file to a name that no file has, also where two processes do so at once."""
    try:
        os.link(source, target)
    except FileExistsError:
        raise
    except OSError:  # the file system has no links
        if target.exists():
            raise FileExistsError(target) from None
        with atomic_write(target) as partial:
            os.replace(source, partial)


def _this_process() -> dict[str, Any]:
    pid = os.getpid()
    return {"pid": pid, "host": socket.gethostname(), "machine": _machine(), "since": _start_time(pid)}


@cache
def _machine() -> str:
    """Return the start of the system and the space of the process numbers, which is that of a container."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return f"unknown {uuid.uuid4().hex}"


def _start_time(pid: Any) -> str | None:
    """Return when a process of this machine started, in ticks of the system; None for no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return None
    state, *fields = text.rpartition(")")[2].split()
    return None if state == "Z" else fields[18]
