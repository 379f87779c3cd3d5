"""The documentation site has every page and every public class; links work in the repository and in the site."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers.tools import load_tool

from bundle import ROOT

hooks = load_tool("site_hooks")
DOCS = Path(ROOT, "docs")
PACKAGES = sorted(
    ".".join(folder.relative_to(ROOT).parts)
    for folder in Path(ROOT, "bundle").rglob("*")
    if (folder / "__init__.py").is_file() and len(list(folder.glob("*.py"))) > 1
)
NOT_IN_THE_REFERENCE = ("bundle.cli", "bundle.server.workarounds")
"""The commands have ``--help``; the work-arounds are internal."""


def nav_pages(nav: Any) -> list[str]:
    """Return the pages in the navigation of the site."""
    if isinstance(nav, str):
        return [nav]
    return [page for item in (nav.values() if isinstance(nav, dict) else nav) for page in nav_pages(item)]


def test_every_page_is_in_the_navigation_once() -> None:
    nav = yaml.safe_load(Path(ROOT, "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    pages = [file.relative_to(DOCS).as_posix() for file in DOCS.rglob("*.md")]
    assert sorted(nav_pages(nav)) == sorted([*pages, *hooks.ROOT_PAGES.values()])


def test_every_package_is_in_the_reference() -> None:
    text = "\n".join(file.read_text(encoding="utf-8") for file in (DOCS / "reference").glob("*.md"))
    named = re.findall(r"^::: (bundle(?:\.\w+)+)$", text, flags=re.M)
    assert set(PACKAGES) - set(named) == set(NOT_IN_THE_REFERENCE)


@pytest.mark.parametrize(
    ("page", "link", "expected"),
    [
        ("index.md", "[a](docs/check.md#x)", "[a](check.md#x)"),
        ("index.md", "![a](docs/a.png)", "![a](a.png)"),
        ("index.md", "[a](models/README.md)", "[a](models.md)"),
        ("index.md", "[the license](LICENSE)", "the license"),
        ("check.md", "[a](pack.md)", "[a](pack.md)"),
        ("check.md", "[a](../models/README.md)", "[a](models.md)"),
        ("check.md", "[a](../CHANGELOG.md)", "[a](changelog.md)"),
        ("reference/io.md", "[a](../check.md)", "[a](../check.md)"),
        ("reference/io.md", "[a](../../README.md)", "[a](../index.md)"),
        ("check.md", "[a](https://monai.io) [b](#x)", "[a](https://monai.io) [b](#x)"),
    ],
)
def test_links_between_files_become_links_between_pages(page: str, link: str, expected: str) -> None:
    assert hooks.site_links(f"See {link}.", page) == f"See {expected}."


def test_roles_of_cross_references_are_removed() -> None:
    html = "<p>See :class:<code>.Volume</code>, :data:<code>~bundle.ROOT</code> and <code>x</code>.</p>"
    wanted = "<p>See <code>Volume</code>, <code>bundle.ROOT</code> and <code>x</code>.</p>"
    assert hooks.on_page_content(html) == wanted


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built strictly: a warning is an error."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    done = subprocess.run(command, cwd=ROOT, env=environment, check=False, **pipe)
    assert done.returncode == 0, done.stdout
    return folder


@pytest.mark.slow
@pytest.mark.xdist_group("site")
def test_the_reference_holds_every_public_class_and_function(site: Path) -> None:
    pages = "".join(file.read_text(encoding="utf-8") for file in (site / "reference").glob("*.html"))
    shown = {name.rpartition(".")[2] for name in re.findall(r'id="(bundle\.[\w.]+)"', pages)}
    for package in PACKAGES:
        module = import_module(package) if "server" not in package else None
        for name in getattr(module, "__all__", ()):
            is_code = inspect.isclass(getattr(module, name)) or inspect.isfunction(getattr(module, name))
            assert not is_code or name in shown, f"{package}.{name}"


@pytest.mark.slow
@pytest.mark.xdist_group("site")
def test_the_site_loads_nothing_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(r'(?:<script[^>]* src|<link [^>]*href|<img[^>]* src)="(https?://[^"]*)"', text)
        assert loaded == [], page.name
