"""Results of a run as a BIDS derivative: names, what is kept, what is left out."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from bundle.inference.bids_derivative import BidsDerivative, write_bids_derivative
from bundle.utils.errors import FileError
from bundle.utils.write_json import write_json


def add_case(run: Path, case: str, *names: str, image: str | None = None, **more: Any) -> None:
    """Add a completed case with files, each of which contains its name."""
    run.mkdir(exist_ok=True)
    for name in names:
        (run / name).write_text(name)
    files = dict.fromkeys([*names, f"{case}.csv"], "sha256")
    write_json(run / f"{case}.json", {"case": case, "input": image or f"in/{case}.nii.gz", "files": files, **more})


def tree(folder: Path) -> list[str]:
    return sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())


def test_label_maps_get_their_place_and_name_in_the_dataset(tmp_path: Path) -> None:
    run, target = tmp_path / "run", tmp_path / "derivatives" / "labels"
    discs = "_label-discs_dlabel"
    add_case(run, "sub-01_T2w", f"sub-01_T2w{discs}.nii.gz", f"sub-01_T2w{discs}.json")
    add_case(run, "sub-02_ses-1_T1w", f"sub-02_ses-1_T1w{discs}.nii.gz", f"sub-02_ses-1_T1w{discs}.json")
    (run / "label-discs_dseg.tsv").write_text("index")
    assert write_bids_derivative(run, target) == BidsDerivative(2)
    assert tree(target) == [
        "dataset_description.json",
        "label-discs_dseg.tsv",
        "sub-01/anat/sub-01_T2w_label-discs_dlabel.json",
        "sub-01/anat/sub-01_T2w_label-discs_dlabel.nii.gz",
        "sub-02/ses-1/anat/sub-02_ses-1_T1w_label-discs_dlabel.json",
        "sub-02/ses-1/anat/sub-02_ses-1_T1w_label-discs_dlabel.nii.gz",
    ]
    description = json.loads((target / "dataset_description.json").read_text())
    assert description["DatasetType"] == "derivative"
    assert description["GeneratedBy"][0]["Name"] == "keyslice"


def test_segmentations_are_named_after_the_space_of_their_image(tmp_path: Path) -> None:
    """The name of the case may differ from that of its image, where two images have one name."""
    run, target = tmp_path / "run", tmp_path / "labels"
    image = "in/sub-01_T1w.nii.gz, in/sub-01_T2w.nii.gz"
    add_case(run, "a_sub-01_T1w", "a_sub-01_T1w_seg.nii.gz", "a_sub-01_T1w_dseg.tsv", image=image)
    assert write_bids_derivative(run, target).cases == 1
    place = target / "sub-01" / "anat"
    assert tree(place) == [f"sub-01_space-T1w_dseg.{ending}" for ending in ("json", "nii.gz", "tsv")]
    assert json.loads((place / "sub-01_space-T1w_dseg.json").read_text()) == {"SpatialReference": "orig"}
    assert (place / "sub-01_space-T1w_dseg.nii.gz").read_text() == "a_sub-01_T1w_seg.nii.gz"
    assert tree(target)[0] == "dataset_description.json"
    assert not list(target.glob("*.tsv"))


def test_corrected_files_are_kept_unless_they_are_to_be_replaced(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run, target = tmp_path / "run", tmp_path / "labels"
    add_case(run, "sub-01_T2w", "sub-01_T2w_label-discs_dlabel.nii.gz")
    write_bids_derivative(run, target)
    assert write_bids_derivative(run, target).skipped == ()
    file = target / "sub-01" / "anat" / "sub-01_T2w_label-discs_dlabel.nii.gz"
    file.write_text("corrected")
    assert len(write_bids_derivative(run, target).skipped) == 1
    assert f"{file}: has another content and is kept; pass --overwrite to replace it" in caplog.text
    assert file.read_text() == "corrected"
    assert write_bids_derivative(run, target, overwrite=True).skipped == ()
    assert file.read_text() == file.name


def test_what_is_left_out_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run, target = tmp_path / "run", tmp_path / "labels"
    add_case(run, "exam01_T2w", "exam01_T2w_label-discs_dlabel.nii.gz")
    add_case(run, "sub-01_T2w")
    add_case(run, "sub-02_T2w", "sub-02_T2w_label-discs_dlabel.nii.gz")
    add_case(run, "sub-03_T2w", error="E", message="bad")
    (run / "sub-02_T2w_label-discs_dlabel.nii.gz").unlink()
    written = write_bids_derivative(run, target)
    assert written.cases == 1
    assert len(written.skipped) == 3
    for message in ("exam01_T2w: its image exam01_T2w has no name of BIDS", "sub-01_T2w: has no label map", "missing"):
        assert message in caplog.text


def test_without_a_case_of_bids_there_is_no_derivative(tmp_path: Path) -> None:
    run, target = tmp_path / "run", tmp_path / "labels"
    add_case(run, "exam01", "exam01_label-discs_dlabel.nii.gz")
    assert write_bids_derivative(run, target).cases == 0
    assert not target.exists()


@pytest.mark.parametrize("programs", [[{"Name": "other"}], [{"Name": "keyslice"}]])
def test_the_description_of_a_derivative_is_kept(
    tmp_path: Path, programs: list[dict[str, str]], caplog: pytest.LogCaptureFixture
) -> None:
    run, target = tmp_path / "run", tmp_path / "labels"
    add_case(run, "sub-01_T2w", "sub-01_T2w_label-discs_dlabel.nii.gz")
    content = {"Name": "labels", "GeneratedBy": programs}
    write_json(target / "dataset_description.json", content)
    with caplog.at_level(logging.WARNING):
        write_bids_derivative(run, target)
    assert json.loads((target / "dataset_description.json").read_text()) == content
    assert ("add {" in caplog.text) == (programs[0]["Name"] == "other")


def test_a_folder_without_results_and_the_folder_itself_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="holds no completed case"):
        write_bids_derivative(tmp_path, tmp_path / "labels")
    with pytest.raises(FileError, match="holds no completed case"):
        write_bids_derivative(tmp_path / "none", tmp_path / "labels")
    with pytest.raises(FileError, match="holds the results themselves"):
        write_bids_derivative(tmp_path, tmp_path)


@pytest.mark.parametrize("overwrite", [False, True])
def test_cases_of_one_bids_name_do_not_overwrite_each_other(
    overwrite: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = tmp_path / "run"
    for site in ("a", "b"):
        case = f"{site}_sub-01_T1w"
        add_case(run, case, f"{case}_seg.nii.gz", image=f"in/{site}/sub-01_T1w.nii.gz")
    add_case(run, "sub-02_T1w", "sub-02_T1w_seg.nii.gz")
    written = write_bids_derivative(run, tmp_path / "labels", overwrite=overwrite)
    assert written.cases == 1
    assert "a_sub-01_T1w, b_sub-01_T1w: have the same BIDS name sub-01_T1w" in caplog.text


@pytest.mark.parametrize(("text", "words"), [("{bad", "cannot be read"), ("[]", "holds no object")])
def test_a_damaged_description_is_reported_before_anything_is_copied(text: str, words: str, tmp_path: Path) -> None:
    run, target = tmp_path / "run", tmp_path / "labels"
    add_case(run, "sub-01_T2w", "sub-01_T2w_label-discs_dlabel.nii.gz")
    target.mkdir()
    (target / "dataset_description.json").write_text(text)
    with pytest.raises(FileError, match=rf"dataset_description.json: {words}.*correct or remove it"):
        write_bids_derivative(run, target)
    assert tree(target) == ["dataset_description.json"]
