"""The table of volumes has the volumes of all structures first, and a row of a failed case, too."""

from __future__ import annotations

import csv
from pathlib import Path

from bundle.results.result_tables import write_table
from bundle.results.volume_rows import VOLUMES

CASE = {
    **{"case": "x", "input": "x.nii.gz", "identifiers": {"sub": "01"}, "remarks": ["one", "two"], "flags": []},
    "labels": {"a": {"volume_mm3": 5.0, "border_margin": 0.5}, "b": {"volume_mm3": 6.0}},
}


def test_columns_and_rows(tmp_path: Path) -> None:
    write_table(VOLUMES, tmp_path, [CASE, {"case": "y", "file": "y.nii.gz", "error": "FileError"}])
    with (tmp_path / "volumes.csv").open(newline="") as stream:
        reader = csv.DictReader(stream)
        columns, (good, failed) = list(reader.fieldnames or ()), list(reader)
    assert columns[:8] == ["case", "input", "sub", "error", "remarks", "flags", "a_volume_mm3", "b_volume_mm3"]
    assert (good["remarks"], good["a_border_margin"], good["b_margin"]) == ("one; two", "0.5", "")
    assert (failed["input"], failed["error"], failed["a_volume_mm3"]) == ("y.nii.gz", "FileError", "")


def test_without_volumes_there_is_no_table(tmp_path: Path) -> None:
    write_table(VOLUMES, tmp_path, [{"case": "y", "error": "FileError"}])
    assert not (tmp_path / "volumes.csv").exists()
