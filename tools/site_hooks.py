"""Hooks of the documentation site: pages at the repository root, and links that work in the repository and the site."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent

ROOT_PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "models/README.md": "models.md",
}
"""Pages outside ``docs/`` and their names in the site."""

LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s:#]+)(#[^)\s]*)?\)")
ROLE = re.compile(r":(?:attr|class|data|func|meth|mod|obj):<code>[.~]?")


def on_files(files: Any, config: Any) -> Any:
    """Add the pages outside ``docs/``."""
    from mkdocs.structure.files import File

    for source, page in ROOT_PAGES.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Make the links between files of the repository links between pages of the site."""
    return site_links(markdown, page.file.src_uri)


def on_page_content(html: str, **_: Any) -> str:
    """Remove the roles of cross-references in docstrings."""
    return ROLE.sub("<code>", html)


def site_links(markdown: str, page: str) -> str:
    """Return a page with links to other pages of the site; links to other files become plain text.

    Args:
        markdown: content of the page.
        page: its path in the site.
    """
    sources = {name: source for source, name in ROOT_PAGES.items()}
    folder = posixpath.dirname(sources.get(page, f"docs/{page}"))

    def replace(link: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(folder, link[3]))
        if path not in ROOT_PAGES and not path.startswith("docs/"):
            return link[2]
        target = posixpath.relpath(ROOT_PAGES.get(path, path.removeprefix("docs/")), posixpath.dirname(page) or ".")
        return f"{link[1]}[{link[2]}]({target}{link[4] or ''})"

    return LINK.sub(replace, markdown)
