"""``bids`` copies label maps to a derivative, and ends with 2 when something was left out."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundle.cli.main import main
from bundle.utils.write_json import write_json


def test_results_are_copied_to_a_derivative(tmp_path: Path) -> None:
    run, target = tmp_path / "run", tmp_path / "derivatives" / "labels"
    name = "sub-01_T2w_label-discs_dlabel.nii.gz"
    write_json(run / "sub-01_T2w.json", {"case": "sub-01_T2w", "input": "sub-01_T2w.nii.gz", "files": {name: ""}})
    (run / name).write_text("found")
    assert main(["bids", str(run), str(target)]) == 0
    copied = target / "sub-01" / "anat" / name
    copied.write_text("corrected")
    with pytest.raises(SystemExit) as stopped:
        main(["bids", str(run), str(target)])
    assert stopped.value.code == 2
    assert copied.read_text() == "corrected"
    assert main(["bids", str(run), str(target), "--overwrite"]) == 0
    assert copied.read_text() == "found"


def test_a_folder_without_results_is_a_mistake(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert main(["bids", str(tmp_path), str(tmp_path / "labels")]) == 2
    assert "holds no completed case" in caplog.text
