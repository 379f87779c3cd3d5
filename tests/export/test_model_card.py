from __future__ import annotations

import json
import shutil
from pathlib import Path

from bundle import ROOT
from bundle.export.model_card import model_card, write_model_card


def test_the_committed_cards_are_what_the_command_writes(tmp_path: Path) -> None:
    shutil.copytree(Path(ROOT, "configs"), tmp_path / "configs")
    (tmp_path / "models").mkdir()
    written = write_model_card(tmp_path).read_text(encoding="utf-8")
    assert written == Path(ROOT, "models", "README.md").read_text(encoding="utf-8")


def test_a_card_has_what_a_user_must_know() -> None:
    metadata = json.loads(Path(ROOT, "configs", "metadata.json").read_text(encoding="utf-8"))
    card = model_card(metadata)
    for text in (metadata["weights"]["sha256"], metadata["intended_use"], *metadata["limitations"], "CC-BY-SA 4.0"):
        assert text in card
    assert "| anterior |" in card


def test_the_reliability_is_that_of_these_weights() -> None:
    metadata = json.loads(Path(ROOT, "configs", "metadata.json").read_text(encoding="utf-8"))
    assert "| structure | rank correlation with the reached Dice |" in model_card(metadata)
    metadata["reliability"]["weights"] = "others"
    assert "rank correlation" not in model_card(metadata)
