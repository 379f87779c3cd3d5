"""A module imports only from layers below its own; files and functions are short and have docstrings."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest
from helpers.tools import load_tool

from bundle import ROOT

layers = load_tool("layers")
MODULES = layers.modules()


def source(module: Path) -> str:
    return (layers.PACKAGE / module).read_text(encoding="utf-8")


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_a_module_imports_only_from_the_layers_below(module: Path) -> None:
    own = layers.package_of(module.with_suffix("").parts)
    for package in layers.imported_packages(module) - {own}:
        assert layers.layer_of(package) < layers.layer_of(own), f"{module} imports bundle.{package}"


def test_every_package_has_a_layer() -> None:
    packages = {layers.package_of(module.with_suffix("").parts) for module in MODULES}
    assert packages == {package for row in layers.LAYERS for package in row}


def test_the_table_in_contributing_is_the_one_that_the_layers_make() -> None:
    text = layers.PAGE.read_text(encoding="utf-8")
    assert layers.BEGIN in text
    assert layers.with_table(text) == text


def test_no_two_modules_have_the_same_name() -> None:
    names = Counter(module.name for module in MODULES if module.name != "__init__.py")
    assert [name for name, count in names.items() if count > 1] == []


def test_nothing_but_the_commands_imports_the_server() -> None:
    assert all("server" not in layers.imported_packages(m) for m in MODULES if m.parts[0] not in ("server", "cli"))


def test_every_module_of_the_server_has_a_test_in_its_own_environment() -> None:
    for module in MODULES:
        if module.parts[0] == "server" and module.stem != "__init__":
            assert Path(ROOT, "tests", "server", f"test_{module.stem}.py").is_file(), module


def test_files_are_short_and_have_a_docstring() -> None:
    for module in MODULES:
        assert len(source(module).splitlines()) <= 400, module
        assert ast.get_docstring(ast.parse(source(module))), module


def test_functions_are_short() -> None:
    for module in MODULES:
        for node in ast.walk(ast.parse(source(module))):
            if isinstance(node, ast.FunctionDef):
                docstring = ast.get_docstring(node, clean=False) or ""
                length = node.end_lineno - node.lineno + 1 - len(docstring.splitlines())
                assert length <= 60, f"{module}: {node.name} has {length} lines"
