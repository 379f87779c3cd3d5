"""Patients are found under the names that datasets give them, and cases of one patient share a part of the split."""

from __future__ import annotations

from typing import Any

import pytest

from bundle.data.patients import find_subject, named_patient, parted_patients, patients_of


@pytest.mark.parametrize(
    ("item", "named"),
    [
        ({"patient": 12}, {"patient": "12"}),
        ({"PatientID": " a ", "subject": "b"}, {"patient": "a"}),
        ({"patient_id": None, "participant_id": "b"}, {"patient": "b"}),
        ({"lesion_id": "x", "group": "y"}, {"group": "x"}),
        ({"patient": "", "image": "a"}, {}),
    ],
)
def test_a_patient_has_many_names(item: dict[str, Any], named: dict[str, str]) -> None:
    assert named_patient(item) == named


def test_patient_counts_before_group_and_group_before_subject() -> None:
    cases = [
        {"image": "sub-1_a.nii", "patient": "p", "group": "g"},
        {"image": ["sub-1_b.nii"], "group": "g"},
        {"image": "sub-2_a.nii"},
        {"image": "c.nii"},
    ]
    assert patients_of(cases) == ["p", "p", "sub-2", None]


def test_a_patient_that_some_of_its_rows_name_stays_together() -> None:
    lesions = [{"image": "a.png", "patient": "p", "group": "x"}, {"image": "b.png", "group": "x"}]
    assert patients_of(lesions) == ["p", "p"]
    several = [*lesions, {"image": "c.png", "patient": "q", "group": "x"}]
    assert patients_of(several) == ["p", "x", "q"]
    visits = [{"image": "sub-1_a.nii", "group": "g"}, {"image": "sub-1_b.nii"}]
    assert patients_of(visits) == ["g", "g"]
    subjects = [{"image": "sub-1_a.nii", "patient": "p"}, {"image": "sub-1_b.nii"}]
    assert patients_of(subjects) == ["p", "p"]


def test_groups_that_part_subjects_do_not_count() -> None:
    cases = [{"image": f"sub-{n}_{group}.nii", "group": group} for n in (1, 2) for group in ("T1w", "T2w")]
    assert patients_of([*cases, {"image": "x.nii", "group": "T1w"}]) == ["sub-1", "sub-1", "sub-2", "sub-2", "T1w"]


def test_folders_above_the_dataset_name_no_subject() -> None:
    assert patients_of([{"image": "/sub-study/data/a.nii"}], "/sub-study/data") == [None]
    assert patients_of([{"image": "/elsewhere/sub-3/a.nii"}], "/sub-study/data") == ["sub-3"]
    assert find_subject("data\\sub-04\\a.nii") == "sub-04"


def test_patients_in_several_parts_are_found() -> None:
    cases = [{"image": str(n), "patient": name} for n, name in enumerate("aabbc")] + [{"image": "x"}]
    assert parted_patients(cases, [0, 1, 0, 0, "test", 0], None) == ["a"]
