"""``python -m bundle prepare`` and ``skeleton``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bundle import __main__ as commands
from bundle import prepare
from bundle.discs import SkeletonPrior


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the logging of the test run alone."""
    monkeypatch.setattr(commands.logging, "basicConfig", lambda **_: None)


CONTENT = {"seed": 0, "training": [{"image": "a", "label": "b", "fold": 0}], "test": []}


def test_phantoms_are_made_and_a_skeleton_is_fitted_to_them(tmp_path: Path) -> None:
    folder, skeleton = str(tmp_path / "phantoms"), tmp_path / "new" / "skeleton.json"
    assert commands.main(["prepare", "spine-phantoms", folder, "--count", "2", "--seed", "3", "--folds", "2"]) == 0
    assert len(json.loads((tmp_path / "phantoms" / "dataset.json").read_text())["training"]) == 2
    assert commands.main(["skeleton", folder, "--output", str(skeleton)]) == 0
    prior = SkeletonPrior.load(skeleton)
    assert len(prior.levels) > 1
    assert prior.source.startswith("python -m bundle skeleton")


def test_spine_generic_goes_to_the_dataset_unless_told_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[Any] = []
    monkeypatch.setattr(prepare, "prepare_spine_generic", lambda root, **options: called.append(options) or CONTENT)
    assert commands.main(["prepare", "spine-generic", str(tmp_path), "--contrasts", "T2w", "--split_by", "site"]) == 0
    assert json.loads((tmp_path / "dataset.json").read_text()) == CONTENT
    assert called == [{"contrasts": ["T2w"], "split_by": "site", "test_share": 0.2, "folds": 5, "seed": 0}]


def test_spine_exams_are_told_where_to_write(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[Any] = []
    monkeypatch.setattr(
        prepare, "prepare_spine_exams", lambda *arguments, **options: called.append((arguments, options)) or CONTENT
    )
    assert commands.main(["prepare", "spine-exams", "in", "--output", "out", "--point", "center"]) == 0
    assert called == [(("in", "out"), {"point": "center", "folds": 3, "seed": 0})]
