"""The command that quantizes a model passes on what it is given, and logs the check."""

from __future__ import annotations

import argparse
import logging
from typing import Any

import pytest

from bundle.cli import quantize_command
from bundle.export import quantize as module


def test_the_model_and_the_images_are_passed_on(monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    calls: list[Any] = []

    def quantize(*given: Any) -> dict[str, Any]:
        calls.append(given)
        return {"check": {"images": 3, "worst_agreement": 0.99951}}

    monkeypatch.setattr(module, "quantize", quantize)
    parser = argparse.ArgumentParser()
    quantize_command.add_arguments(parser)
    with caplog.at_level(logging.INFO):
        quantize_command.run(parser.parse_args(["volumes", "images", "heads"]))
    assert calls == [("volumes", ["images", "heads"])]
    assert "checked on 3 images, worst agreement 99.9510%" in caplog.text
