"""The floors of the house: a module imports only from floors below its own."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from bundle import ROOT

FLOORS = (
    {"label_values", "switches", "volume_files"},
    {"records", "resume"},
    {"discs", "losses"},
    {"metrics", "attention"},
    {"networks"},
    {"transforms", "inferers", "handlers", "datasets", "engines"},
    {"experiments", "report", "label", "pack_configs"},
    {"check", "compare", "crossval", "demo", "pack", "prepare", "__main__"},
)
PACKAGE = Path(ROOT, "bundle")
MODULES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def floor_of(room: str) -> int:
    return next(number for number, rooms in enumerate(FLOORS) if room in rooms)


def room_of(module: Path) -> str:
    return module.parts[0].removesuffix(".py")


def imported_rooms(module: Path) -> set[str]:
    """Return the rooms of the house that a module imports from, wherever in the module the import stands."""
    rooms: set[str] = set()
    package = ("bundle", *module.parts[:-1])
    for node in ast.walk(ast.parse((PACKAGE / module).read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            path = (*base, *(node.module.split(".") if node.module else ()))
            names = [(*path, alias.name) for alias in node.names] if path == ("bundle",) else [path]
        elif isinstance(node, ast.Import):
            names = [tuple(alias.name.split(".")) for alias in node.names]
        else:
            continue
        rooms |= {name[1] for name in names if name[0] == "bundle" and len(name) > 1}
    return {room for room in rooms if (PACKAGE / room).is_dir() or (PACKAGE / f"{room}.py").is_file()}


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_a_module_imports_only_from_the_floors_below(module: Path) -> None:
    own = room_of(module)
    for room in imported_rooms(module) - {own}:
        below = floor_of(room) < floor_of(own) or (
            own == "__main__" and room in ("check", "compare", "crossval", "demo", "pack", "prepare")
        )
        assert below, f"{module} (floor {floor_of(own)}) imports {room} (floor {floor_of(room)})"


def test_nothing_but_the_commands_imports_the_label_app() -> None:
    assert all(
        "label" not in imported_rooms(module) for module in MODULES if room_of(module) not in ("label", "__main__")
    )


def test_every_file_of_the_label_app_has_a_test_in_its_own_environment() -> None:
    for module in MODULES:
        if room_of(module) == "label" and module.stem != "__init__":
            name = "_".join(("test", *module.with_suffix("").parts[1:]))
            assert Path(ROOT, "tests", "label", f"{name}.py").is_file(), module


def test_files_are_short_and_have_a_docstring() -> None:
    for module in MODULES:
        text = (PACKAGE / module).read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 400, module
        assert ast.get_docstring(ast.parse(text)), module


def test_functions_are_short() -> None:
    for module in MODULES:
        for node in ast.walk(ast.parse((PACKAGE / module).read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                length = (
                    node.end_lineno - node.lineno + 1 - len((ast.get_docstring(node, clean=False) or "").splitlines())
                )
                assert length <= 60, f"{module}: {node.name} has {length} lines"
