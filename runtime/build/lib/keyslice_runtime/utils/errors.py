"""Errors of which the user is the cause: one base for all, reported in one line without a traceback."""

from __future__ import annotations

from pathlib import Path


class BundleError(ValueError):
    """A mistake in the input, an option or a file; the message names it, what is wrong and what to do."""


class FileError(BundleError):
    """A file that cannot be used.

    Args:
        file: path of the file.
        problem: what is wrong with it.
        remedy: what the user can do.
    """

    def __init__(self, file: str | Path, problem: str, remedy: str) -> None:
        super().__init__(f"{file}: {problem}; {remedy}.")
        self.file, self.problem, self.remedy = str(file), problem, remedy
