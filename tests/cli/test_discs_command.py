"""`discs renumber` changes the levels in a file, `discs convert` its format."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.phantoms import write_nifti

from bundle.cli import discs_command
from bundle.cli.main import main
from bundle.tasks.spine.discs import Disc, levels, read_discs, write_disc_csv


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


def test_a_corrected_csv_becomes_a_label_map(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    image, file, target = tmp_path / "image.nii.gz", tmp_path / "a.csv", tmp_path / "a_dlabel.nii.gz"
    write_nifti(image, np.zeros((4, 6, 40), np.int16), np.eye(4))
    write_disc_csv([Disc(24, (1.0, 2.0, 30.0)), Disc(245, (1.0, 2.0, 20.0))], file)
    with caplog.at_level("INFO"):
        assert main(["discs", "convert", str(file), str(target), "--image", str(image)]) == 0
    assert f"{target}: written, without L5-L6" in caplog.text
    assert [disc.name for disc in read_discs(target)] == ["L4-L5"]
    assert main(["discs", "convert", str(file), str(tmp_path / "b.mrk.json")]) == 0
    assert len(read_discs(tmp_path / "b.mrk.json")) == 2


def test_the_numberings_are_those_of_label_maps() -> None:
    assert discs_command.NUMBERINGS == levels.NUMBERINGS
