"""The scripts in ``tools/`` as modules."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

from bundle import ROOT


def load_tool(name: str) -> ModuleType:
    """Import ``tools/<name>.py``."""
    spec = importlib.util.spec_from_file_location(name, Path(ROOT, "tools", f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
