"""``summarize`` ends with 2 when a case failed, and with a message for another folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundle.cli.main import main
from bundle.utils.write_json import write_json


def test_a_folder_is_summarized(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"case": "a"})
    assert main(["summarize", str(tmp_path)]) == 0
    write_json(tmp_path / "b.json", {"case": "b", "error": "E", "message": "bad"})
    with pytest.raises(SystemExit) as stopped:
        main(["summarize", str(tmp_path)])
    assert stopped.value.code == 2
    assert (tmp_path / "summary.json").is_file()


def test_a_missing_folder_is_a_mistake(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert main(["summarize", str(tmp_path / "none")]) == 2
    assert "is not a folder" in caplog.text
