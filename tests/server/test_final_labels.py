from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from helpers.phantoms import write_nifti

from bundle.data import DatalistError, select_cases, select_classified
from bundle.server.final_labels import (
    check_classes,
    convert_cases,
    labeled_cases,
    read_classes,
    select_validation_cases,
    unlabeled_images,
    write_dataset,
)
from bundle.server.label_tasks import TASKS, LabelTask
from bundle.server.labeled_case import LabeledCase
from bundle.server.server_errors import RequestError


def cases_of(folder: Path, count: int) -> list[LabeledCase]:
    cases = []
    for index in range(count):
        case = LabeledCase(f"a{index}", folder / f"a{index}.nii.gz", folder / "final" / f"a{index}.nii.gz")
        for file in (case.image, case.label):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(file.name)
        cases.append(case)
    return cases


class Store:
    """Images with labels, of which c has none for the task."""

    def get_labeled_images(self) -> list[str]:
        return ["b", "a", "c"]

    def list_images(self) -> list[str]:
        return ["d", "c", "b", "a"]

    def find_final_label(self, name: str, task: LabelTask) -> LabeledCase | None:
        return None if name == "c" else LabeledCase(name, Path(f"{name}.nii.gz"), Path(f"final/{name}.nrrd"))


def test_the_final_labels_of_a_task_are_listed_by_name() -> None:
    assert [case.name for case in labeled_cases(Store(), TASKS[0])] == ["a", "b"]
    assert unlabeled_images(Store(), TASKS[0]) == ["c", "d"]


def test_labels_are_converted_to_the_values_of_the_task(tmp_path: Path) -> None:
    cases = []
    for name, value in (("a", 2), ("b", 7)):
        label = write_nifti(tmp_path / f"{name}.nii.gz", np.full((4, 4, 4), value, np.uint8))
        cases.append(LabeledCase(name, label, label, {1: "posterior", 2: "anterior"}))
    markups = LabeledCase("m", cases[0].image, tmp_path / "m.mrk.json")
    found, problems = convert_cases([*cases, markups], TASKS[0], tmp_path / "converted")
    assert [case.name for case in found] == ["a", "m"]
    assert found[1] == markups
    assert (nib.load(found[0].label).get_fdata() == 1).all()
    assert len(problems) == 1
    assert "b.nii.gz: holds the values 7" in problems[0]


CLASS_TASK = next(task for task in TASKS if task.name == "lesion_classes")


def test_classes_of_another_name_or_value_are_refused(tmp_path: Path) -> None:
    label = tmp_path / "a.classes.json"
    for classes in ({"melanoma": 1}, {"melanoma": 2, "seborrheic_keratosis": 0}):
        label.write_text(json.dumps({"classes": classes}))
        with pytest.raises(RequestError, match=r"label: contains the classes .*; expected 0 or 1 for melanoma, seb"):
            check_classes(label, TASKS, "label")
    label.write_text(json.dumps({"classes": {"Melanoma": 1, "seborrheic keratosis": 0, "nevus": 1}}))
    check_classes(label, TASKS, "label")
    case = LabeledCase("a", label, label)
    path = write_dataset([case], tmp_path / "data", validation=[case], classes=list(CLASS_TASK.labels))
    assert json.loads(path.read_text())["training"][0]["classes"] == {
        "melanoma": 1,
        "seborrheic_keratosis": 0,
        "nevus": 1,
    }


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_no_case_of_few_is_held_out(count: int, tmp_path: Path) -> None:
    assert select_validation_cases(cases_of(tmp_path, count), 0.5) == []


@pytest.mark.parametrize(("fraction", "count"), [(0.0, 0), (0.04, 0), (0.2, 2), (0.5, 5), (0.9, 9)])
def test_a_fraction_of_many_cases_is_held_out(fraction: float, count: int, tmp_path: Path) -> None:
    cases = cases_of(tmp_path, 10)
    found = select_validation_cases(cases, fraction)
    assert len(found) == count
    assert found == sorted(found, key=lambda case: case.name)
    assert found == select_validation_cases(cases[::-1], fraction)


def test_a_case_stays_held_out_when_cases_are_added(tmp_path: Path) -> None:
    cases = cases_of(tmp_path, 40)
    before, after = ({case.name for case in select_validation_cases(cases[:count], 0.2)} for count in (39, 40))
    assert len(before & after) >= len(before) - 1


def test_few_cases_are_used_for_training_and_validation(tmp_path: Path) -> None:
    cases = cases_of(tmp_path, 3)
    path = write_dataset(cases, tmp_path / "data")
    training, validation = (select_cases(path.parent, split, path) for split in ("training", "validation"))
    assert [Path(case["image"]) for case in training] == [case.image for case in cases]
    assert [Path(case["image"]).resolve() for case in validation] == [case.image.resolve() for case in cases]
    assert [case["label"] for case in training] == [case["label"] for case in validation]
    assert not {case["case"] for case in training} & {case["case"] for case in validation}


def test_held_out_cases_are_not_used_for_training(tmp_path: Path) -> None:
    cases = cases_of(tmp_path, 6)
    path = write_dataset(cases, tmp_path / "data", validation=cases[1:3])
    training, validation = (select_cases(path.parent, split, path) for split in ("training", "validation"))
    assert [case["case"] for case in training] == ["a0", "a3", "a4", "a5"]
    assert [case["case"] for case in validation] == ["a1", "a2"]


def test_files_of_an_earlier_training_are_deleted(tmp_path: Path) -> None:
    left = tmp_path / "data" / "links" / "old.nii.gz"
    left.parent.mkdir(parents=True)
    left.write_text("")
    write_dataset(cases_of(tmp_path, 1), tmp_path / "data")
    assert [file.name for file in left.parent.iterdir()] == ["a0.nii.gz"]


def test_classes_are_read_from_the_labels(tmp_path: Path) -> None:
    cases = cases_of(tmp_path, 2)
    for number, case in enumerate(cases):
        case.label.write_text(json.dumps({"classes": {"melanoma": number}}))
    path = write_dataset(cases, tmp_path / "data", validation=cases[:1], classes=["melanoma"])
    found = select_classified(path.parent, "all", classes=["melanoma"], datalist=path)
    assert [case["label"].tolist() for case in found] == [[0.0], [1.0]]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"classes": 1}'])
def test_a_label_without_classes_is_reported(text: str, tmp_path: Path) -> None:
    label = tmp_path / "a.json"
    label.write_text(text)
    with pytest.raises(DatalistError, match=r"a\.json: contains no classes; submit a file NAME"):
        read_classes(label)
