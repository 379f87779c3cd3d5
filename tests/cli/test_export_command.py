"""The command that exports a model passes on what it is given, and logs the worst image."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import Any

import pytest

from bundle.cli import export_command
from bundle.export import onnx_file


def test_the_model_the_folder_and_the_images_are_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[Any] = []

    def export(*given: Any, cases: list[str]) -> dict[str, Any]:
        calls.append((*given, cases))
        return {"cases": cases, "worst": {"a.png": 0.5}}

    monkeypatch.setattr(onnx_file, "export_onnx", export)
    parser = argparse.ArgumentParser()
    export_command.add_arguments(parser)
    with caplog.at_level(logging.INFO):
        export_command.run(parser.parse_args(["volumes", str(tmp_path / "out"), "--compare", "a.png", "b.png"]))
    ((model, output, cases),) = calls
    assert (model, Path(output), cases) == ("volumes", tmp_path / "out", ["a.png", "b.png"])
    assert "compared on 2 images, worst {'a.png': 0.5}" in caplog.text
