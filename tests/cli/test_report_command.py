"""``report`` writes the page of a run."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.finished_run import write_run

from bundle.cli.main import main


def test_the_page_is_written_next_to_the_results(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "out")
    assert main(["report", str(folder)]) == 0
    assert (folder / "report.html").is_file()
    assert main(["report", str(folder), "--output", str(tmp_path / "page.html"), "--no_volumes"]) == 0
    assert (tmp_path / "page.html").stat().st_size < (folder / "report.html").stat().st_size


def test_another_folder_is_a_mistake(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert main(["report", str(tmp_path)]) == 2
    assert "has no results" in caplog.text
