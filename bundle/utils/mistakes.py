"""Mistakes of the user as one message with exit status 2, found in the chains of errors that MONAI makes of them."""

from __future__ import annotations

import logging
import os
import re
import sys
import traceback
from collections.abc import Iterator
from types import FrameType, TracebackType

from .errors import BundleError
from .path_options import is_command

logger = logging.getLogger(__name__)

EXIT_MISTAKE = 2
"""Exit status of a process that a mistake of the user has ended."""

TRACEBACK = "KEYSLICE_TRACEBACK"
"""Environment variable; if it is set, the traceback is shown as well."""

HINT = f"{TRACEBACK}=1 shows where."

WRAPPERS = ("Failed to instantiate component", "Failed to evaluate")
"""How messages begin by which MONAI hides the error of a component or an expression."""

CONFIG = os.path.join("monai", "bundle", "")
RESOLVER = os.path.join(CONFIG, "reference_resolver.py")
ENGINE = os.path.join("ignite", "engine", "engine.py")
"""Where a config is read, its ids are resolved, and the steps of a workflow run."""

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PLAIN = (ValueError, RuntimeError)
"""Errors whose type says nothing that their message does not say."""


def report_mistakes() -> None:
    """End this process, if ``monai.bundle`` runs in it, with one message and status 2 for a mistake of the user."""
    if is_command():
        sys.excepthook = _report


def describe_mistake(error: BaseException) -> str | None:
    """Return the message about a mistake of the user in one line; None for another error.

    A mistake is a :class:`.errors.BundleError` or a missing module anywhere in the chain of causes and, outside of the
    steps of a workflow, a value that this package refuses, a file that cannot be opened, and whatever goes wrong while
    a config is read.

    Args:
        error: the error, as it reached the caller.
    """
    chain = list(_causes(error))
    for cause in chain:
        if isinstance(cause, BundleError | ModuleNotFoundError):
            return _one_line(str(cause))
    found = next((cause for cause in chain if not str(cause).startswith(WRAPPERS)), chain[-1])
    if not isinstance(found, Exception):
        return None
    frames = [frame for cause in chain for frame in _frames(cause)]
    if any(_is_file(frame, ENGINE) for frame in frames):
        return None
    if isinstance(found, OSError) and found.filename is not None:
        return _one_line(f"{found.filename}: {found.strerror}. {HINT}")
    if _is_refused_value(found):
        return _one_line(str(found))
    if not any(_is_file(frame, CONFIG) for frame in frames):
        return None
    places = [str(frame.f_locals.get("id", "")) for frame in frames if _is_file(frame, RESOLVER)]
    place = next((f"{place.replace('::', '#')}: " for place in reversed(places) if place), "")
    kind = "" if type(found) in PLAIN and str(found) else f"{type(found).__name__}: "
    return _one_line(f"{place}{kind}{found}".rstrip(". ") + f". {HINT}")


def show_mistake(message: str, error: BaseException) -> None:
    """Log the message about a mistake, after the traceback if :data:`TRACEBACK` is set."""
    if os.environ.get(TRACEBACK):
        traceback.print_exception(error)
    logger.error("%s", message)


def _report(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Report an error that nothing has caught; a ``SystemExit`` in this hook sets the exit status."""
    message = describe_mistake(error)
    if message is None:
        sys.__excepthook__(kind, error, trace)
        return
    show_mistake(message, error)
    raise SystemExit(EXIT_MISTAKE)


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__


def _frames(error: BaseException) -> Iterator[FrameType]:
    return (frame for frame, _ in traceback.walk_tb(error.__traceback__))


def _is_file(frame: FrameType, part: str) -> bool:
    return part in frame.f_code.co_filename


def _is_refused_value(error: BaseException) -> bool:
    """Return whether code of this package has raised a ``ValueError``."""
    frames = list(_frames(error))
    return type(error) is ValueError and bool(frames) and frames[-1].f_code.co_filename.startswith(PACKAGE)


def _one_line(text: str) -> str:
    return re.sub(r"\s*\n\s*", " ", text.strip())
