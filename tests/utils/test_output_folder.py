"""A folder that cannot be written to is found before the work."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundle.utils.errors import BundleError
from bundle.utils.output_folder import check_output_folder


def test_nothing_is_left_behind_and_nothing_is_created(tmp_path: Path) -> None:
    check_output_folder("output_dir", tmp_path)
    check_output_folder("output_dir", tmp_path / "new" / "folder")
    assert not list(tmp_path.iterdir())


def test_a_file_in_its_place_or_above_it_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(BundleError, match=r"bids_dir .*file.* cannot be created or written to .*pass another"):
            check_output_folder("bids_dir", path)
