"""Mistakes in a request, with the status that the server answers with."""

from __future__ import annotations

from bundle.utils.errors import BundleError


class RequestError(Exception):
    """A request that cannot be answered.

    Args:
        status: HTTP status, such as 400 for a bad value or 404 for something that is not there.
        message: what is wrong and what to do.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


class StudiesError(BundleError):
    """A folder of studies, or a choice of models, that cannot be served; the message says what to do."""
