"""`discs renumber` changes the levels in a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundle.cli.main import main
from bundle.tasks.spine.discs import Disc, read_discs, write_disc_csv


def test_a_file_is_renumbered_in_place(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    write_disc_csv([Disc(21, (0, 0, 30)), Disc(23, (0, 0, 0))], file)
    assert main(["discs", "renumber", str(file), "--from", "22", "--by", "-1"]) == 0
    assert [disc.value for disc in read_discs(file)] == [21, 22]
    assert main(["discs", "renumber", str(file), "--from", "22", "--by", "-1"]) == 2


def test_the_changes_are_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file, other = tmp_path / "a.csv", tmp_path / "b.csv"
    write_disc_csv([Disc(20, (0, 0, 30)), Disc(23, (0, 0, 0))], file)
    with caplog.at_level("INFO"):
        assert main(["discs", "renumber", str(file), "--to", "20", "--by", "1", "--output", str(other)]) == 0
        assert main(["discs", "renumber", str(file), "--to", "2", "--by", "1"]) == 0
    assert [disc.value for disc in read_discs(other)] == [21, 23]
    assert "b.csv: T12-L1 is L1-L2" in caplog.text
    assert "a.csv: no disc in this range" in caplog.text
