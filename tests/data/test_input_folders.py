"""Images below a folder are listed once, without results and segmentations."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from bundle.data.input_folders import Unlisted, bids_names, matching_files, names_below
from bundle.io.volume_files import volume_names


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def found(root: Path, output_dir: Path | None = None) -> list[str]:
    return sorted(names_below(root, volume_names, output_dir))


def bids(root: Path) -> tuple[list[str], Unlisted]:
    others = Unlisted()
    return sorted(bids_names(root, names_below(root, volume_names), others)), others


def test_hidden_folders_and_results_are_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    touch(tmp_path, "own.nii", "a/x.nii", "a/b/y.nii", ".hidden/z.nii", "out/x_seg.nii", "earlier/x_seg.nii", "c/z.nii")
    (tmp_path / "earlier" / "summary.json").write_text('{"cases": [], "failures": []}')
    (tmp_path / "c" / "summary.json").write_text("no JSON")
    assert found(tmp_path, tmp_path / "out") == ["a/b/y.nii", "a/x.nii", "c/z.nii"]
    assert f"{tmp_path / 'earlier'}: left out, it holds the results of a run" in caplog.text


def test_a_folder_that_is_linked_is_listed_once(tmp_path: Path) -> None:
    touch(tmp_path, "in/a/x.nii")
    (tmp_path / "in" / "b").symlink_to(tmp_path / "in" / "a")
    (tmp_path / "in" / "loop").symlink_to(tmp_path / "in")
    assert len(found(tmp_path / "in")) == 1


def test_segmentations_of_bids_are_no_images(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    touch(tmp_path, *(f"sub-1/anat/sub-1_{name}.nii.gz" for name in ("T1w", "T2w", "dseg", "label-L_mask")))
    names, others = bids(tmp_path)
    assert names == ["sub-1/anat/sub-1_T1w.nii.gz", "sub-1/anat/sub-1_T2w.nii.gz"]
    assert (others.count, others.first) == (2, "sub-1/anat/sub-1_dseg.nii.gz")
    pattern = f"{tmp_path}/sub-*/**/*_T1w.nii.gz"
    assert "lists images of several kinds, 1 T1w, 1 T2w; to list one, pass a pattern in quotes" in caplog.text
    assert f"--input '{pattern}'" in caplog.text
    assert list(matching_files(pattern)) == [f"{tmp_path}/sub-1/anat/sub-1_T1w.nii.gz"]


def test_another_folder_is_no_bids_dataset(tmp_path: Path) -> None:
    names, others = bids(touch(tmp_path, "anat/a.nii.gz", "anat/b.nii.gz"))
    assert names == []
    assert (others.count, others.first) == (2, "anat/a.nii.gz")


def test_a_volume_of_a_format_that_is_not_read_is_no_image_of_bids(tmp_path: Path) -> None:
    assert bids(touch(tmp_path, "sub-1/anat/sub-1_T1w.mgz"))[0] == []
