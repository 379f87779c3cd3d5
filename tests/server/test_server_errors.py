"""Errors of the server."""

from __future__ import annotations

from bundle.server.server_errors import RequestError, StudiesError


def test_an_error_has_a_status_and_a_message() -> None:
    error = RequestError(404, "image 'x' is not there")
    assert (error.status, error.message, str(error)) == (404, "image 'x' is not there", "image 'x' is not there")
    assert issubclass(StudiesError, ValueError)
