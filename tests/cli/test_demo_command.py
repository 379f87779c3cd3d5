"""`demo` writes to the folder that is named."""

from __future__ import annotations

from typing import Any

import pytest

from bundle.cli.main import main


@pytest.mark.parametrize(("words", "folder"), [([], "demo"), (["--output_dir", "somewhere"], "somewhere")])
def test_the_folder_reaches_the_demo(words: list[str], folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[Any] = []
    monkeypatch.setattr("bundle.cli.demo.run_demo", called.append)
    assert main(["demo", *words]) == 0
    assert called == [folder]
