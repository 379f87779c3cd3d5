"""`plausibility` learns from the folders that are named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bundle.cli.main import main


def test_folders_and_weights_reach_the_learning(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[Any] = []
    learn = "bundle.inference.learn_plausibility.learn_plausibility"
    monkeypatch.setattr(learn, lambda *call, **options: called.append((*call, options)))
    assert main(["plausibility", "crops", "heads", "--checkpoint", "model.pt"]) == 0
    assert main(["plausibility", "crops", "--checkpoint", "model.pt", "--out_of_fold", "fold0", "fold1"]) == 0
    assert called == [
        ([Path("crops"), Path("heads")], Path("model.pt"), {"out_of_fold": []}),
        ([Path("crops")], Path("model.pt"), {"out_of_fold": [Path("fold0"), Path("fold1")]}),
    ]


def test_a_mistake_is_one_line_with_status_2(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert main(["plausibility", str(tmp_path), "--checkpoint", str(tmp_path / "none.pt")]) == 2
    assert "none.pt: does not exist" in caplog.text
