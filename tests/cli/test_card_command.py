"""`card` writes the model cards."""

from __future__ import annotations

from typing import Any

import pytest

from bundle.cli.main import main


def test_the_model_cards_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[Any] = []
    monkeypatch.setattr("bundle.export.model_card.write_model_card", lambda: called.append("card"))
    assert main(["card"]) == 0
    assert called == ["card"]
