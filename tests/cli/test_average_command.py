"""`average` writes the mean of weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bundle.cli.main import main


def test_the_mean_of_all_files_is_written(tmp_path: Path) -> None:
    for number in range(3):
        torch.save({"weight": torch.full((2,), float(number))}, tmp_path / f"{number}.pt")
    files = [str(tmp_path / f"{number}.pt") for number in range(3)]
    assert main(["average", *files, "--output", str(tmp_path / "mean.pt")]) == 0
    assert torch.load(tmp_path / "mean.pt", weights_only=True)["weight"].tolist() == [1.0, 1.0]


def test_a_missing_file_is_a_mistake_of_one_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert main(["average", str(tmp_path / "none.pt"), "--output", str(tmp_path / "mean.pt")]) == 2
    assert "none.pt" in caplog.text
