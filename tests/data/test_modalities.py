"""Files of the modalities of an image are found by how their names end."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundle.data import DatalistError
from bundle.data.modalities import describe_missing, find_images, find_other_volumes, shared_name

MODALITIES = ("flair", "t1", "t1ce")


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def test_files_of_a_case_are_one_image_in_the_order_asked_for(tmp_path: Path) -> None:
    touch(tmp_path, *(f"HGG/a_1/a_1_{ending}.nii.gz" for ending in ("t1", "t1ce", "flair", "t2", "seg")))
    (image,) = find_images(tmp_path, ["t1ce", "flair"], label="seg")
    folder = tmp_path / "HGG" / "a_1"
    assert image.name == "a_1"
    assert image.files == [str(folder / "a_1_t1ce.nii.gz"), str(folder / "a_1_flair.nii.gz")]
    assert image.label == str(folder / "a_1_seg.nii.gz")


def test_names_may_be_those_of_the_modalities_alone_or_lie_all_in_one_folder(tmp_path: Path) -> None:
    touch(tmp_path, *(f"case7/{ending}.nii" for ending in MODALITIES))
    touch(tmp_path, *(f"{case}-{ending}.mha" for case in "ba" for ending in MODALITIES))
    found = find_images(tmp_path, MODALITIES, label="seg")
    assert [image.name for image in found] == ["a", "b", "case7"]
    assert found[0].label is None


def test_an_image_that_lacks_modalities_names_them_and_the_files_that_are_expected(tmp_path: Path) -> None:
    touch(tmp_path, "a_T1.nii.gz", "b_flair.nii.gz", "b_t1.nii.gz", "b_t1ce.nii.gz", "c/t1.mha")
    lacking, complete, folder = find_images(tmp_path, MODALITIES)
    assert lacking.missing == ("flair", "t1ce")
    assert lacking.files == [str(tmp_path / f"a_{name}.nii.gz") for name in ("flair", "T1", "t1ce")]
    assert describe_missing(lacking) == f"{tmp_path / 'a'} lacks flair, t1ce"
    assert not complete.missing
    assert folder.files[0] == str(tmp_path / "c" / "flair.mha")


def test_endings_are_found_in_upper_and_lower_case_and_the_longest_counts(tmp_path: Path) -> None:
    touch(tmp_path, "a_FLAIR.nii.gz", "a_T1.NII.GZ", "a-t1_C.nii.gz")
    (image,) = find_images(tmp_path, ["flair", "t1", "c", "t1_c"])
    assert image.missing == ("c",)
    assert image.files[3] == str(tmp_path / "a-t1_C.nii.gz")


def test_other_volumes_belong_to_an_image_by_their_names_or_to_none(tmp_path: Path) -> None:
    touch(
        tmp_path, "a_flair.nii.gz", "a_seg.nii.gz", "labels/a.nii", "labels/A_x.nii", "case7/flair.nii", "case7/m.nii"
    )
    touch(tmp_path, "labels/case7.nii", "ab.nii.gz", "b_FL.nii.gz", "c_flair.mgz", "notes.txt")
    alone, beside = find_other_volumes(tmp_path, find_images(tmp_path, ["flair"]))
    assert [file.name for file in alone] == ["ab.nii.gz", "b_FL.nii.gz", "c_flair.mgz"]
    assert [file.name for file in beside] == ["a_seg.nii.gz", "m.nii", "A_x.nii", "a.nii", "case7.nii"]


def test_two_files_of_one_modality_are_an_error(tmp_path: Path) -> None:
    touch(tmp_path, "a_t1.nii", "a_t1.nii.gz", "a_flair.nii.gz")
    with pytest.raises(DatalistError, match=r"a_t1.nii and .*a_t1.nii.gz are the same modality; remove one"):
        find_images(tmp_path, ["t1", "flair"])


@pytest.mark.parametrize(
    ("names", "shared"),
    [
        (["a_1_t1", "a_1_t1ce", "a_1_t2"], "a_1"),
        (["a_0000", "a_0001"], "a"),
        (["sub-01_T1w", "sub-01_FLAIR"], "sub-01"),
        (["t1", "t2"], ""),
        (["flair", "t2"], ""),
    ],
)
def test_what_names_share_ends_at_a_mark(names: list[str], shared: str) -> None:
    assert shared_name(names) == shared
