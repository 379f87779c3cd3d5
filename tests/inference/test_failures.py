"""The record of a failed case names the case, its file and the error that caused the failure."""

from __future__ import annotations

import itertools
import json
import logging

import pytest

from bundle.inference.failures import record_failure
from bundle.io.input_checks import DimensionError


def chained(*errors: Exception) -> Exception:
    """Return the first error, caused by the second, and so on."""
    for error, cause in itertools.pairwise(errors):
        error.__cause__ = cause
    return errors[0]


CASE = {"case": "a", "image": "/data/a.nii.gz", "label": "/data/b.nii.gz"}


def test_an_error_of_the_contract_speaks_for_itself() -> None:
    error = DimensionError("/data/b.nii.gz", "has 4 axes", "split it")
    assert record_failure(CASE, error) == {
        "case": "a",
        "file": "/data/a.nii.gz",
        "error": "DimensionError",
        "message": "/data/b.nii.gz: has 4 axes; split it.",
    }


def test_an_error_of_the_contract_is_found_under_the_errors_of_monai() -> None:
    inner = chained(DimensionError("f", "p", "r"), EOFError("cut"))
    assert record_failure(CASE, chained(RuntimeError("applying transform"), inner))["error"] == "DimensionError"


def test_another_error_is_told_by_its_root_and_with_the_file() -> None:
    record = record_failure(CASE, chained(RuntimeError("applying transform"), TypeError("x"), KeyError("label")))
    assert record["error"] == "KeyError"
    assert record["message"] == "/data/a.nii.gz: KeyError: 'label'"


def test_a_case_without_a_name_is_named_after_its_file() -> None:
    assert record_failure({"image": "/data/a.nii.gz"}, ValueError("x"))["case"] == "a.nii.gz"
    assert record_failure({}, ValueError("x")) == {
        "case": "",
        "file": "",
        "error": "ValueError",
        "message": ": ValueError: x",
    }


def test_an_image_of_several_files_is_told_by_all_of_them() -> None:
    assert record_failure({"case": "a", "image": ["/data/a.nii", "/data/b.nii"]}, KeyError("x"))["file"] == (
        "/data/a.nii, /data/b.nii"
    )


def test_the_failure_is_logged_and_the_record_is_json(caplog: pytest.LogCaptureFixture) -> None:
    record = record_failure(CASE, ValueError("too much"))
    assert json.loads(json.dumps(record)) == record
    (line,) = caplog.records
    assert line.levelno == logging.ERROR
    assert line.getMessage() == "case a is left out: ValueError: /data/a.nii.gz: ValueError: too much"
