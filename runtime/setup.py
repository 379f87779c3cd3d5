"""The package ``keyslice_runtime``: the modules of ``bundle`` that ``bundle.runtime`` needs, under another name.

So arithmetic that the workflows and the runtime need is written once. A module that a function imports when it is
called, such as SciPy for learning from results, is not needed by the runtime and left out.
"""

from __future__ import annotations

import ast
import re
import shutil
from pathlib import Path

from setuptools import setup

HERE = Path(__file__).resolve().parent
SOURCE = HERE.parent / "bundle"
NAME = "keyslice_runtime"
OF_BUNDLE = re.compile(r"^( *(?:from|import) )bundle(?=[. ])", re.MULTILINE)


def needed_modules(source: Path = SOURCE) -> list[Path]:
    """Return the modules of ``bundle.runtime`` and those that they import when they are imported."""
    found: set[Path] = set()
    waiting = list((source / "runtime").glob("*.py"))
    while waiting:
        module = waiting.pop()
        if module not in found:
            found.add(module)
            waiting += _imported(module, source)
    return sorted(found)


def write_package(target: Path, source: Path = SOURCE) -> Path:
    """Write the package to a folder and return its own folder; one that is there is replaced."""
    package = target / NAME
    shutil.rmtree(package, ignore_errors=True)
    for module in needed_modules(source):
        copy = package / module.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        text = OF_BUNDLE.sub(rf"\1{NAME}", module.read_text(encoding="utf-8"))
        copy.write_text(text, encoding="utf-8")
    version = re.search(r'^__version__ = "(.+)"', (source / "__init__.py").read_text(encoding="utf-8"), re.MULTILINE)
    for folder in [package, *(path for path in package.rglob("*") if path.is_dir())]:
        (folder / "__init__.py").write_text('"""Part of Keyslice."""\n', encoding="utf-8")
    (package / "__init__.py").write_text(
        f'"""Apply exported Keyslice models to medical images."""\n\n__version__ = "{version[1]}"\n', encoding="utf-8"
    )
    return package


def _imported(module: Path, source: Path) -> list[Path]:
    """Return the modules of the bundle that a module imports at its top level."""
    package = ("bundle", *module.relative_to(source).parts[:-1])
    found = []
    for node in ast.parse(module.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            path = (*base, *(node.module.split(".") if node.module else ()))
            if path[0] == "bundle":
                found += [source.joinpath(*path[1:]).with_suffix(".py")]
                found += [source.joinpath(*path[1:], f"{alias.name}.py") for alias in node.names]
    return [file for file in found if file.is_file() and file.name != "__init__.py"]


def _version() -> str:
    """Return the version, after the package was written; a source distribution holds it already."""
    if SOURCE.is_dir():
        shutil.rmtree(HERE / "build", ignore_errors=True)  # modules that are gone would stay in the wheel
        write_package(HERE)
    text = (HERE / NAME / "__init__.py").read_text(encoding="utf-8")
    return re.search(r'__version__ = "(.+)"', text)[1]


if __name__ == "__main__":
    setup(version=_version())
