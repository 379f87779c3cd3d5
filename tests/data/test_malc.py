"""MALC is listed in both layouts, with a table of structures, and without second scans of its persons."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from bundle.data import DatalistError
from bundle.data.malc import TABLES, prepare_malc
from bundle.io import LoadVolumed
from bundle.io.label_tables import expand


def touch(*files: Path) -> None:
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()


@pytest.fixture
def released(tmp_path: Path) -> Path:
    for part, numbers in (("training", range(1000, 1008)), ("testing", (1008, 1009, 1023, 1039))):
        for number in numbers:
            folder = tmp_path / "MICCAI-2012"
            touch(folder / f"{part}-images" / f"{number}_3.nii.gz")
            touch(folder / f"{part}-labels" / f"{number}_3_glm.nii.gz")
    return tmp_path


def test_the_parts_of_the_challenge_are_kept(released: Path, caplog: pytest.LogCaptureFixture) -> None:
    content = prepare_malc(released, folds=4)
    assert Counter(item["fold"] for item in content["training"]) == {0: 2, 1: 2, 2: 2, 3: 2}
    assert content["test"] == [
        {
            "image": f"MICCAI-2012/testing-images/{number}_3.nii.gz",
            "label": f"MICCAI-2012/testing-labels/{number}_3_glm.nii.gz",
            "patient": str(number),
        }
        for number in (1008, 1009)
    ]
    assert "1023_3.nii.gz: skipped, since it is a second scan of a person" in caplog.text
    assert len(prepare_malc(released, repeats=True)["test"]) == 4


def test_structures_are_those_of_a_table(released: Path, tmp_path: Path) -> None:
    content = prepare_malc(released)
    assert content["label_values"] == TABLES["neuromorphometrics"]
    assert content["labels"]["10"] == "hippocampus"
    assert prepare_malc(released, labels="freesurfer")["label_values"] == TABLES["freesurfer"]
    (tmp_path / "mine.tsv").write_text("index\tname\n35\tstem\n")
    own = prepare_malc(released, labels=tmp_path / "mine.tsv")
    assert own["label_values"] == {"stem": [35]}
    assert own["labels"] == {"0": "background", "1": "stem"}


def test_both_tables_have_the_same_ten_structures() -> None:
    assert [list(expand(table)) for table in TABLES.values()] == [list(expand(TABLES["freesurfer"]))] * 2
    assert len(expand(TABLES["freesurfer"])) == 10


def test_the_layout_of_the_original_project_has_ten_nameless_structures(tmp_path: Path) -> None:
    for part, count in (("train", 5), ("test", 2)):
        for number in range(count):
            touch(
                tmp_path / part / "images" / f"{part}{number}.nii.gz", tmp_path / part / "masks" / f"{part}{number}.nii"
            )
    content = prepare_malc(tmp_path)
    assert (len(content["training"]), len(content["test"])) == (5, 2)
    assert content["labels"] == {"0": "background", **{str(value): f"structure_{value}" for value in range(1, 11)}}
    assert "label_values" not in content
    assert content["test"][0]["patient"] == "test0"
    assert "label_values" in prepare_malc(tmp_path, labels="freesurfer")


def test_without_a_testing_part_some_are_held_out(released: Path) -> None:
    for file in released.rglob("testing-*/*"):
        file.unlink()
    content = prepare_malc(released, test_share=0.25, folds=2)
    assert (len(content["training"]), len(content["test"])) == (6, 2)


def test_what_cannot_be_used_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatalistError, match="absent: is not a folder"):
        prepare_malc(tmp_path / "absent")
    with pytest.raises(DatalistError, match="holds no training-images with training-labels"):
        prepare_malc(tmp_path)


@pytest.mark.real_data
def test_the_table_of_freesurfer_fits_a_real_label_map(shared_data: Path) -> None:
    file = shared_data / "volumes" / "brain_t1_dense" / "test_scan_seg.nii.gz"
    label = LoadVolumed("label", label_values=TABLES["freesurfer"])({"label": str(file)})
    assert label["label"].unique().tolist() == list(range(11))
