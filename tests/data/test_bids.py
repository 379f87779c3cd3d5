"""Images of a BIDS dataset are matched with the segmentations of a derivative by the entities of their names."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from bundle.data import DatalistError
from bundle.data.bids import entities, prepare_bids

TABLE = "index\tname\n1\tGM\n2\tWM\n"


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def add(root: Path, subject: str, session: str = "", *, desc: str = "_desc-manual", suffix: str = "T1w") -> None:
    below = f"sub-{subject}/{f'ses-{session}/' if session else ''}anat"
    name = f"sub-{subject}{f'_ses-{session}' if session else ''}"
    touch(root, f"{below}/{name}_{suffix}.nii.gz", f"derivatives/manual/{below}/{name}{desc}_dseg.nii.gz")


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    for number in range(6):
        for session in ("a", "b"):
            add(tmp_path, f"{number:02}", session)
    (tmp_path / "derivatives" / "manual" / "desc-manual_dseg.tsv").write_text(TABLE)
    touch(tmp_path, "derivatives/fmriprep/sub-00/anat/sub-00_T1w.nii.gz", "README")
    return tmp_path


def test_names_are_taken_apart() -> None:
    assert entities(Path("sub-01_ses-2_acq-x-y_T1w.nii.gz")) == {
        **{"sub": "01", "ses": "2", "acq": "x-y"},
        "suffix": "T1w",
    }


def test_sessions_of_a_subject_are_not_split(dataset: Path) -> None:
    content = prepare_bids(dataset, folds=2, test_share=1 / 3)
    places: dict[str, set[object]] = {}
    for item in content["training"] + content["test"]:
        places.setdefault(item["patient"], set()).add(item.get("fold", "test"))
    assert len(places) == 6
    assert all(len(place) == 1 for place in places.values())
    assert Counter(item["fold"] for item in content["training"]) == {0: 4, 1: 4}
    assert content["training"][0] | {"fold": 0} == {
        "image": f"{content['training'][0]['patient']}/ses-a/anat/{content['training'][0]['patient']}_ses-a_T1w.nii.gz",
        "label": "derivatives/manual/{0}/ses-a/anat/{0}_ses-a_desc-manual_dseg.nii.gz".format(
            content["training"][0]["patient"]
        ),
        "patient": content["training"][0]["patient"],
        "fold": 0,
    }
    assert content["labels"] == {"0": "background", "1": "GM", "2": "WM"}
    assert "label_values" not in content
    assert content["modality"] == {"0": "T1w"}


def test_several_suffixes_are_channels(dataset: Path, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(4):
        touch(dataset, f"sub-{number:02}/ses-a/anat/sub-{number:02}_ses-a_FLAIR.nii.gz")
    content = prepare_bids(dataset, suffixes=["FLAIR", "T1w"], folds=2, test_share=0)
    assert len(content["training"]) == 4
    assert content["training"][0]["image"] == [
        f"sub-00/ses-a/anat/sub-00_ses-a_{suffix}.nii.gz" for suffix in ("FLAIR", "T1w")
    ]
    assert "sub-00_ses-b_desc-manual_dseg.nii.gz: skipped, since there is no image FLAIR" in caplog.text


def test_a_segmentation_in_another_space_is_skipped(dataset: Path, caplog: pytest.LogCaptureFixture) -> None:
    touch(dataset, "derivatives/manual/sub-00/ses-a/anat/sub-00_ses-a_space-MNI152_desc-manual_dseg.nii.gz")
    assert len(prepare_bids(dataset, test_share=1)["test"]) == 12
    assert "skipped, since it lies in the space MNI152" in caplog.text
    touch(dataset, "derivatives/manual/sub-00/ses-a/anat/sub-00_ses-a_space-orig_desc-auto_dseg.nii.gz")
    with pytest.raises(DatalistError, match=r"has several segmentations, .*desc-manual_dseg.nii.gz and .*desc-auto"):
        prepare_bids(dataset)


def test_the_derivative_is_named_where_several_hold_segmentations(dataset: Path) -> None:
    touch(dataset, "derivatives/auto/sub-00/anat/sub-00_dseg.nii.gz")
    with pytest.raises(DatalistError, match="one derivative with segmentations is wanted, found auto, manual"):
        prepare_bids(dataset)
    assert len(prepare_bids(dataset, derivative="manual", test_share=1)["test"]) == 12
    with pytest.raises(DatalistError, match="is not a folder"):
        prepare_bids(dataset, derivative="none")


def test_a_folder_may_hold_images_and_segmentations_side_by_side(tmp_path: Path) -> None:
    touch(
        tmp_path, "sub-1/anat/sub-1_T1w.nii.gz", "sub-1/anat/sub-1_space-T1w_dseg.nii.gz", "sub-1/anat/sub-1_dseg.txt"
    )
    (tmp_path / "sub-1" / "anat" / "sub-1_dseg.tsv").write_text("index\tname\n3\tx\n9\tx\n")
    content = prepare_bids(tmp_path, test_share=1)
    assert content["test"][0]["label"] == "sub-1/anat/sub-1_space-T1w_dseg.nii.gz"
    assert content["label_values"] == {"x": [3, 9]}


def test_a_processed_image_is_that_of_its_segmentation_where_it_is_the_only_one(tmp_path: Path) -> None:
    for number in range(4):
        name = f"sub-{number}/anat/sub-{number}"
        touch(tmp_path, f"{name}_desc-preproc_T1w.nii.gz", f"{name}_dseg.nii.gz")
        touch(tmp_path, f"{name}_space-MNI_desc-preproc_T1w.nii.gz")
    (tmp_path / "dseg.tsv").write_text(TABLE)
    content = prepare_bids(tmp_path, folds=2, test_share=0)
    images = {item["image"] for item in content["training"]}
    assert images == {f"sub-{number}/anat/sub-{number}_desc-preproc_T1w.nii.gz" for number in range(4)}
    touch(tmp_path, "sub-3/anat/sub-3_desc-brain_T1w.nii.gz")
    assert len(prepare_bids(tmp_path, folds=2, test_share=0)["training"]) == 3


def test_tables_next_to_segmentations_are_one_table(tmp_path: Path) -> None:
    for number, rows in enumerate(("1\tliver\n2\tspleen\n", "1\tliver\n5\ttumor\n")):
        touch(tmp_path, f"sub-{number}/anat/sub-{number}_T1w.nii.gz", f"sub-{number}/anat/sub-{number}_dseg.nii.gz")
        (tmp_path / f"sub-{number}" / "anat" / f"sub-{number}_dseg.tsv").write_text(f"index\tname\n{rows}")
    content = prepare_bids(tmp_path, test_share=0, folds=2)
    assert content["label_values"] == {"liver": [1], "spleen": [2], "tumor": [5]}
    for rows in ("1\tspleen\n", "2\tliver\n", "7\tnew\n2\tliver\n"):
        (tmp_path / "sub-1" / "anat" / "sub-1_dseg.tsv").write_text(f"index\tname\n{rows}")
        with pytest.raises(DatalistError, match=r"sub-1_dseg.tsv: contradicts .*sub-0_dseg.tsv about .*; pass"):
            prepare_bids(tmp_path, test_share=0, folds=2)


def test_a_table_is_the_user_s_or_that_of_the_derivative(dataset: Path) -> None:
    (dataset / "own.csv").write_text("index,name\n1,brain\n2,brain\n")
    content = prepare_bids(dataset, labels=dataset / "own.csv")
    assert (content["labels"], content["label_values"]) == ({"0": "background", "1": "brain"}, {"brain": [1, 2]})
    (dataset / "derivatives" / "manual" / "dseg.tsv").write_text(TABLE)
    with pytest.raises(
        DatalistError, match=r"is wanted, found desc-manual_dseg.tsv, dseg.tsv; pass one by .*--labels FILE"
    ):
        prepare_bids(dataset)
    for file in dataset.rglob("*.tsv"):
        file.unlink()
    with pytest.raises(
        DatalistError, match=r"is wanted, found none; pass one by python -m bundle prepare bids .*--labels FILE"
    ):
        prepare_bids(dataset)


def test_files_that_name_no_subject_are_not_listed(dataset: Path) -> None:
    touch(dataset, "sub-00/ses-a/anat/T1w.nii.gz", "derivatives/manual/sub-00/ses-a/anat/dseg.nii.gz")
    assert len(prepare_bids(dataset, test_share=0)["training"]) == 12


def test_what_cannot_be_used_is_refused(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(DatalistError, match="holds no image PDw with a"):
        prepare_bids(dataset, suffixes=["PDw"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatalistError, match=r"found none with \*_dseg.nii.gz"):
        prepare_bids(tmp_path / "empty")
