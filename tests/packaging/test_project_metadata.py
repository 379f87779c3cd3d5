"""Files at the root agree with each other."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import yaml

from bundle import ROOT, __version__

PROJECT = tomllib.loads(Path(ROOT, "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_the_version_is_written_once() -> None:
    assert PROJECT["dynamic"] == ["version"]
    assert "version" not in PROJECT


def test_the_citation_has_the_version_and_the_authors() -> None:
    citation = yaml.safe_load(Path(ROOT, "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == __version__
    assert citation["authors"] == PROJECT["authors"]


def test_the_newest_release_of_the_changelog_is_the_version() -> None:
    releases = re.findall(r"^## (.+?) \((.+)\)$", Path(ROOT, "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.M)
    citation = yaml.safe_load(Path(ROOT, "CITATION.cff").read_text(encoding="utf-8"))
    assert releases[0] == (__version__, str(citation["date-released"]))


def test_all_pinned_packages_have_one_version() -> None:
    lines = Path(ROOT, "constraints.txt").read_text(encoding="utf-8").splitlines()[1:]
    names = [re.sub(r"[-_.]+", "-", line.partition("==")[0]).lower() for line in lines]
    assert len(names) == len(set(names))
    assert all(re.fullmatch(r"[\w.-]+==[\w.+]+", line) for line in lines)
