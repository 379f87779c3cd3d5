from __future__ import annotations

import json
from pathlib import Path

import pytest

from bundle.data import DatalistError, select_cases, select_classified
from bundle.server.final_labels import LabeledCase, labeled_cases, read_classes, select_validation_cases, write_dataset


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
    """The part of MONAI Label's datastore that is used here."""

    def get_labeled_images(self) -> list[str]:
        return ["b", "a"]

    def get_image_uri(self, name: str) -> str:
        return f"/studies/{name}.nii.gz"

    def get_label_uri(self, name: str, tag: str) -> str:
        return f"/studies/labels/{tag}/{name}.nrrd"


def test_the_final_labels_are_listed_by_name() -> None:
    assert labeled_cases(Store()) == [
        LabeledCase(name, Path(f"/studies/{name}.nii.gz"), Path(f"/studies/labels/final/{name}.nrrd"))
        for name in ("a", "b")
    ]


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
    path = write_dataset(cases, tmp_path / "data", validation=cases[:1], classes=True)
    found = select_classified(path.parent, "all", classes=["melanoma"], datalist=path)
    assert [case["label"].tolist() for case in found] == [[0.0], [1.0]]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"classes": 1}'])
def test_a_label_without_classes_is_reported(text: str, tmp_path: Path) -> None:
    label = tmp_path / "a.json"
    label.write_text(text)
    with pytest.raises(DatalistError, match=r"a\.json: contains no classes; submit a file NAME"):
        read_classes(label)
