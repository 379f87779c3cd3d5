"""Errors of requests and of the options of the server."""

from __future__ import annotations

from bundle.utils.errors import BundleError


class RequestError(BundleError):
    """An invalid request.

    Args:
        status: HTTP status, such as 400 for an invalid value or 404 for an unknown name.
        message: what is wrong and what to do.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


class StudiesError(BundleError):
    """An invalid study folder or an invalid option of ``python -m bundle label``."""
