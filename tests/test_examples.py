"""The examples in the docstrings give the results that they show."""

from __future__ import annotations

import doctest
from importlib import import_module
from pathlib import Path

import pytest

from bundle import ROOT

SKIPPED = ("server",)  # its environment is another one
PACKAGE = Path(ROOT, "bundle")


def modules_with_examples() -> list[str]:
    """Return the names of all modules that contain an example."""
    paths = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))
    found = [path for path in paths if path.parts[0] not in SKIPPED and ">>> " in (PACKAGE / path).read_text("utf-8")]
    return [".".join(("bundle", *path.with_suffix("").parts)).removesuffix(".__init__") for path in found]


def test_there_are_examples() -> None:
    assert "bundle.networks.attention_unet" in modules_with_examples()


@pytest.mark.parametrize("name", modules_with_examples())
def test_examples_of_the_module_give_what_they_show(name: str) -> None:
    module = import_module(name)
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    results = doctest.testmod(module, optionflags=flags, raise_on_error=False)
    assert results.attempted > 0
    assert results.failed == 0
