"""The base of all errors of which the user is the cause."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

import pytest

import bundle
from bundle.utils.errors import BundleError, FileError

OTHERS = {"NonFiniteError", "RequestError", "WorkflowError"}
"""Errors that are not a mistake of the user's, or belong to the server's protocol."""


def test_the_error_of_a_file_names_it_what_is_wrong_and_what_to_do() -> None:
    error = FileError("a.nii.gz", "is empty", "copy it again")
    assert str(error) == "a.nii.gz: is empty; copy it again."
    assert (error.file, error.problem, error.remedy) == ("a.nii.gz", "is empty", "copy it again")


@pytest.mark.parametrize("package", ["io", "data", "networks", "tasks", "legacy", "export", "experiments"])
def test_every_error_of_the_package_has_the_one_base(package: str) -> None:
    root = importlib.import_module(f"bundle.{package}")
    for module in pkgutil.walk_packages(root.__path__, f"{root.__name__}."):
        for name, kind in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            if issubclass(kind, Exception) and kind.__module__.startswith(bundle.__name__) and name not in OTHERS:
                assert issubclass(kind, BundleError), name
