"""Volumes are paired by name, and dealt by patient with like shares of every kind."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from bundle.data import DatalistError
from bundle.data.volume_lists import (
    deal,
    folder_of,
    labeled,
    original_parts,
    pair_volumes,
    read_table,
    volume_datalist,
    with_patients,
)


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def cases(count: int, visits: int = 1) -> list[dict[str, Any]]:
    return [
        {"image": f"/d/{number:02}_{visit}.nii", "label": "x", "group": f"{number:02}", "kind": str(number % 2)}
        for number in range(count)
        for visit in range(visits)
    ]


def parts_of(dealt: dict[str, list[dict[str, Any]]]) -> dict[str, set[Any]]:
    found: dict[str, set[Any]] = {}
    for case in dealt["training"] + dealt["test"]:
        found.setdefault(case["group"], set()).add(case.get("fold", "test"))
    return found


def test_labels_are_found_by_name_and_not_by_order(tmp_path: Path) -> None:
    touch(tmp_path, "i/b.nii.gz", "i/a.nii", "i/c.nii.gz", "l/a_glm.nii.gz", "l/b-label.nii.gz", "l/d.nii.gz")
    found = pair_volumes(tmp_path / "i", tmp_path / "l")
    assert [(Path(case["image"]).name, Path(case.get("label", "-")).name) for case in found] == [
        ("a.nii", "a_glm.nii.gz"),
        ("b.nii.gz", "b-label.nii.gz"),
        ("c.nii.gz", "-"),
    ]


def test_an_image_with_several_label_maps_is_an_error(tmp_path: Path) -> None:
    touch(tmp_path, "i/a.nii.gz", "l/a.nii.gz", "l/a_seg.nii.gz")
    with pytest.raises(DatalistError, match=r"a.nii.gz: has several label maps: .*a.nii.gz, .*a_seg.nii.gz; remove"):
        pair_volumes(tmp_path / "i", tmp_path / "l")


def test_a_case_without_a_label_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert labeled([{"image": ["a.nii", "b.nii"]}, {"image": "c", "label": "d"}]) == [{"image": "c", "label": "d"}]
    assert "a.nii: left out, since it has no label map" in caplog.text


def test_folders_of_the_original_project_are_its_parts(tmp_path: Path) -> None:
    assert original_parts(tmp_path) is None
    touch(tmp_path, "train/images/a.nii", "train/masks/a.nii", "test/images/b.nii", "test/masks/b.nii")
    found = original_parts(tmp_path)
    assert found is not None
    assert {section: [Path(case["label"]).name for case in cases] for section, cases in found.items()} == {
        "training": ["a.nii"],
        "test": ["b.nii"],
    }


def test_a_patient_is_named_by_the_first_file() -> None:
    (case,) = with_patients([{"image": ["/x/p1_t1.nii", "/x/p1_t2.nii"]}], lambda name: name.split("_")[0])
    assert case["group"] == case["patient"] == "p1"


def test_every_case_is_dealt_once_and_no_patient_is_parted() -> None:
    dealt = deal("d", cases(11, visits=3), test_share=0.25, folds=4, seed=1)
    assert sorted(case["image"] for case in dealt["training"] + dealt["test"]) == [
        case["image"] for case in cases(11, 3)
    ]
    assert all(len(parts) == 1 for parts in parts_of(dealt).values())
    assert len(dealt["test"]) == 9
    assert dealt == deal("e", cases(11, visits=3)[::-1], test_share=0.25, folds=4, seed=1)
    assert dealt != deal("d", cases(11, visits=3), test_share=0.25, folds=4, seed=2)


def test_patients_of_many_cases_do_not_fill_one_fold() -> None:
    uneven = [{"image": f"{group}{number}", "group": group} for group in "abcdef" for number in range(ord(group) - 96)]
    dealt = deal("d", uneven, test_share=0, folds=3, seed=0)
    assert set(Counter(case["fold"] for case in dealt["training"]).values()) == {7}


def test_every_kind_has_a_like_share_in_all_parts() -> None:
    dealt = deal("d", cases(40), test_share=0.25, folds=5, seed=0, stratum=lambda case: case["kind"])
    assert Counter(case["kind"] for case in dealt["test"]) == {"0": 5, "1": 5}
    assert set(Counter((case["kind"], case["fold"]) for case in dealt["training"]).values()) == {3}


def test_cases_without_a_group_are_of_a_patient_each() -> None:
    dealt = deal("d", [{"image": name} for name in "abcd"], test_share=0, folds=4, seed=0)
    assert {case["fold"] for case in dealt["training"]} == {0, 1, 2, 3}


def test_all_can_be_held_out() -> None:
    dealt = deal("d", cases(1), test_share=1, folds=5, seed=0)
    assert (len(dealt["training"]), len(dealt["test"])) == (0, 1)


def test_numbers_out_of_range_are_refused() -> None:
    for options in ({"test_share": 1.5, "folds": 2}, {"test_share": 0, "folds": 1}):
        with pytest.raises(DatalistError, match=r"test_share must lie in \[0, 1\] and folds be 2 or more"):
            deal("d", cases(4), seed=0, **options)
    with pytest.raises(DatalistError, match="d: 2 cases or patients are left for 3 folds"):
        deal("d", cases(2, visits=4), test_share=0, folds=3, seed=0)


def test_a_datalist_has_relative_paths_channels_and_classes(tmp_path: Path) -> None:
    both = {"image": [str(tmp_path / "b_1"), str(tmp_path / "b_2")], "label": str(tmp_path / "x" / "b"), "fold": 1}
    parts = {"training": [both, {"image": str(tmp_path / "a"), "case": "a"}]}
    content = volume_datalist(tmp_path, parts, seed=3, modality=["T1", "T2"], table={"liver": [4], "spleen": ["6-7"]})
    assert content == {
        "seed": 3,
        "modality": {"0": "T1", "1": "T2"},
        "label_values": {"liver": [4], "spleen": ["6-7"]},
        "labels": {"0": "background", "1": "liver", "2": "spleen"},
        "training": [{"image": "a"}, {"image": ["b_1", "b_2"], "label": "x/b", "fold": 1}],
        "test": [],
    }
    plain = volume_datalist(tmp_path, {}, seed=0, labels={"0": "background", "1": "liver"})
    assert list(plain) == ["seed", "labels", "training", "test"]


def test_a_table_or_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(DatalistError, match=r"absent.tsv: is no table of structures"):
        read_table(tmp_path / "absent.tsv")
    with pytest.raises(DatalistError, match="absent: is not a folder; name the one that holds volumes"):
        folder_of(tmp_path / "absent", "volumes")
    assert folder_of(str(tmp_path), "volumes") == tmp_path
