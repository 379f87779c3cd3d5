"""Curves are drawn from the JSON of an evaluation."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from ignite.engine import Engine
from PIL import Image

from bundle.tasks.classification import CurvePlots
from bundle.tasks.classification import curves as module
from bundle.tasks.classification.classification_handler import curves_of
from bundle.utils.write_json import write_json


def curves() -> dict:
    """Return the curves of two classes, of which the second has no positives and its threshold no precision."""
    probability, labels = np.array([0.1, 0.3, 0.3, 0.8, 0.9]), np.array([0, 0, 1, 1, 1])
    return {"melanoma": curves_of(probability, labels, 0.5), "keratosis": curves_of(probability, 0 * labels, 0.95)}


def finish(folder: Path) -> None:
    """Run an evaluation that does nothing but end."""
    engine = Engine(lambda _, __: None)
    CurvePlots(folder).attach(engine)
    engine.run([0])


def test_curves_are_drawn_at_the_end(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_json(tmp_path / "curves.json", curves())
    with caplog.at_level(logging.INFO):
        finish(tmp_path)
    assert f"curves written to {tmp_path / 'curves.png'}" in caplog.text
    with Image.open(tmp_path / "curves.png") as image:
        assert image.format == "PNG"
        colors = {color for _, color in image.convert("RGB").getcolors(1 << 20)}
    assert {(230, 159, 0), (86, 180, 233)} <= colors


def test_without_curves_nothing_is_drawn(tmp_path: Path) -> None:
    finish(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_without_matplotlib_nothing_is_drawn_but_a_warning_is_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "find_spec", lambda _: None)
    write_json(tmp_path / "curves.json", curves())
    finish(tmp_path)
    assert "no plots of the curves" in caplog.text
    assert not (tmp_path / "curves.png").exists()
