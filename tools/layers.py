"""The layers of the package: a module imports only from layers below its own.

``python tools/layers.py`` writes the table of CONTRIBUTING.md from :data:`LAYERS` and from the first line of every
package's docstring.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "bundle"
PAGE = ROOT / "CONTRIBUTING.md"
BEGIN, END = "<!-- layers: begin (python tools/layers.py) -->\n", "<!-- layers: end -->"

LAYERS = (
    ("utils",),
    ("attention", "cluster", "grid", "io", "losses", "metrics", "results", "visualize", "workflow"),
    ("data", "networks", "training", "transforms"),
    ("legacy",),
    ("inference",),
    ("tasks.images", "tasks.spine"),
    ("tasks.classification",),
    ("explain", "phantoms.spine", "phantoms.volumes", "runtime"),
    ("check", "cohort", "experiments", "export", "review", "server"),
    ("planning",),
    ("cli",),
)
"""Packages of ``bundle``, from the lowest layer to the highest; packages of one layer do not import each other."""

GROUPS = ("tasks", "phantoms")
"""Folders whose packages count one by one."""


def modules() -> list[Path]:
    """Return all modules but those of ``bundle`` itself and of the groups, relative to the package."""
    found = (path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))
    return sorted(path for path in found if len(path.parts) > (2 if path.parts[0] in GROUPS else 1))


def package_of(parts: tuple[str, ...]) -> str:
    """Return the package in :data:`LAYERS` that the parts of a dotted name below ``bundle`` belong to."""
    return ".".join(parts[:2] if parts[0] in GROUPS else parts[:1])


def layer_of(package: str) -> int:
    """Return the layer of a package, 0 for the lowest."""
    return next(number for number, packages in enumerate(LAYERS) if package in packages)


def imported_packages(module: Path) -> set[str]:
    """Return the packages that a module imports from, wherever in the module the import stands."""
    return {package_of(name) for name in _imported_names(module) if (PACKAGE / name[0]).is_dir()}


def _imported_names(module: Path) -> Iterator[tuple[str, ...]]:
    package = ("bundle", *module.parts[:-1])
    for node in ast.walk(ast.parse((PACKAGE / module).read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            path = (*base, *(node.module.split(".") if node.module else ()))
            names = [(*path, alias.name) for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [tuple(alias.name.split(".")) for alias in node.names]
        else:
            continue
        yield from (name[1:] for name in names if name[0] == "bundle" and len(name) > 1)


def table() -> str:
    """Return the table of the layers in Markdown."""
    rows = ["| layer | package | contents |", "|---|---|---|"]
    for number, packages in enumerate(LAYERS):
        for package in packages:
            folder = PACKAGE.joinpath(*package.split("."))
            text = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))) or ""
            rows.append(f"| {number} | `bundle/{package.replace('.', '/')}/` | {text.splitlines()[0]} |")
    return "\n".join(rows) + "\n"


def with_table(text: str) -> str:
    """Return a page with the table between its marks brought up to date."""
    return re.sub(f"{re.escape(BEGIN)}.*?{re.escape(END)}", lambda _: f"{BEGIN}{table()}{END}", text, flags=re.DOTALL)


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
