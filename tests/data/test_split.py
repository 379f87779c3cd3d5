"""make_datalist assigns every case once, reproducibly, and write_datalist writes what load_datalist reads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers.phantoms import write_case

from bundle import ROOT
from bundle.data import DatalistError, load_datalist
from bundle.data.datalist_file import write_datalist
from bundle.data.split import make_datalist


def dataset(root: Path, count: int = 23) -> Path:
    for folder in ("images", "labels"):
        (root / folder).mkdir(parents=True)
        for number in range(count):
            (root / folder / f"case_{number:02}.nii.gz").touch()
    return root


def images(items: list[dict]) -> list[str]:
    return [item["image"] for item in items]


def test_every_case_is_assigned_once(tmp_path: Path) -> None:
    content = make_datalist(dataset(tmp_path), test_share=0.2, folds=4)
    every = images(content["training"]) + images(content["test"])
    assert sorted(every) == [f"images/case_{number:02}.nii.gz" for number in range(23)]
    assert len(content["test"]) == 5
    assert all(item["label"] == item["image"].replace("images", "labels") for item in content["training"])
    sizes = [sum(item["fold"] == fold for item in content["training"]) for fold in range(4)]
    assert sorted(sizes) == [4, 4, 5, 5]


def test_the_same_seed_gives_the_same_split_and_another_one_another(tmp_path: Path) -> None:
    here, there = dataset(tmp_path / "here"), dataset(tmp_path / "elsewhere")
    assert make_datalist(here, seed=3) == make_datalist(there, seed=3)
    assert images(make_datalist(here, seed=3)["test"]) != images(make_datalist(here, seed=4)["test"])


def test_the_order_of_the_datalist_does_not_matter(tmp_path: Path) -> None:
    root = dataset(tmp_path)
    first = make_datalist(root)
    items = [{"image": image, "label": image.replace("images", "labels")} for image in images(first["training"])]
    items += first["test"]
    results = []
    for order in (items, items[::-1]):
        (root / "dataset.json").write_text(json.dumps({"training": order}))
        results.append(make_datalist(root))
    assert results == [first, first]


def test_labeled_test_cases_of_a_dataset_are_its_test_set(tmp_path: Path) -> None:
    root = dataset(tmp_path)
    items = [
        {"image": image, "label": image.replace("images", "labels")}
        for image in images(make_datalist(root)["training"])
    ]
    (root / "dataset.json").write_text(json.dumps({"training": items[2:], "test": items[:2]}))
    found = make_datalist(root, test_share=0.5)
    assert images(found["test"]) == images(items[:2])
    assert images(found["training"]) == sorted(images(items[2:]))


def test_a_dataset_can_be_named_relative_to_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset(tmp_path / "data")
    expected = make_datalist(tmp_path / "data")
    monkeypatch.chdir(tmp_path / "data")
    assert make_datalist(".") == expected


def test_no_case_need_be_held_out(tmp_path: Path) -> None:
    content = make_datalist(dataset(tmp_path, 6), test_share=0)
    assert content["test"] == []
    assert len(content["training"]) == 6


@pytest.mark.parametrize("test_share", [0, 0.3])
def test_what_is_written_is_read_again(test_share: float, tmp_path: Path) -> None:
    root = dataset(tmp_path / "data")
    content = make_datalist(root, test_share=test_share, seed=5)
    path = tmp_path / "split.json"
    write_datalist(content, path)
    assert json.loads(path.read_text()) == content
    lines = path.read_text().splitlines()
    assert sum("images/" in line for line in lines) == 23
    assert max(line.count("images/") for line in lines) == 1
    lists = load_datalist(root, path)
    assert [case["fold"] for case in lists["training"]] == [item["fold"] for item in content["training"]]
    assert images(lists["test"]) == [str(root / image) for image in images(content["test"])]


@pytest.mark.parametrize("options", [{"test_share": 1.1}, {"test_share": -0.1}, {"folds": 1}])
def test_a_number_out_of_range_is_an_error(options: dict, tmp_path: Path) -> None:
    dataset(tmp_path)
    with pytest.raises(DatalistError, match=r"test_share must lie in \[0, 1\] and folds be 2 or more"):
        make_datalist(tmp_path, **options)


def test_more_folds_than_cases_are_refused(tmp_path: Path) -> None:
    for name in "abc":
        write_case(tmp_path, name)
    with pytest.raises(DatalistError, match="2 cases or patients are left for 3 folds"):
        make_datalist(tmp_path, test_share=0.3, folds=3)


def test_scans_of_a_patient_stay_together(tmp_path: Path) -> None:
    content = make_datalist(dataset(tmp_path), patient=r"case_(\d)\d", folds=2)
    assert {item["patient"] for item in content["training"] + content["test"]} == {"0", "1", "2"}
    places = {(item["patient"], item.get("fold")) for item in content["training"] + content["test"]}
    assert len(places) == 3


def test_the_description_of_a_dataset_is_kept(tmp_path: Path) -> None:
    root = dataset(tmp_path)
    described = {"modality": {"0": "CT"}, "labels": {"0": "background", "1": "liver"}}
    items = make_datalist(root)["training"]
    (root / "dataset.json").write_text(json.dumps({"name": "x", **described, "training": items}))
    content = make_datalist(root)
    assert {key: content.get(key) for key in ("modality", "labels", "name")} == {**described, "name": None}
    write_datalist(content, root / "dataset.json")
    assert make_datalist(root) == content


def test_a_table_names_the_classes(tmp_path: Path) -> None:
    (tmp_path / "table.tsv").write_text("index\tname\n7\tliver\n")
    content = make_datalist(dataset(tmp_path / "data"), labels=tmp_path / "table.tsv")
    assert content["labels"] == {"0": "background", "1": "liver"}
    assert content["label_values"] == {"liver": [7]}


@pytest.mark.real_data
def test_the_committed_split_comes_out_again(shared_data: Path) -> None:
    root = shared_data / "volumes" / "hippocampus"
    committed = json.loads(Path(ROOT, "configs", "datasets", "hippocampus_split.json").read_text())
    assert make_datalist(root, test_share=0.2, folds=16) == committed


def test_the_patients_that_a_dataset_names_are_kept_together(tmp_path: Path) -> None:
    items = []
    for patient in range(6):
        for visit in range(3):
            case = write_case(tmp_path, f"p{patient}v{visit}")
            paths = {key: Path(case[key]).relative_to(tmp_path).as_posix() for key in ("image", "label")}
            items.append({**paths, "group": f"p{patient}"})
    (tmp_path / "dataset.json").write_text(json.dumps({"training": items}))
    content = make_datalist(tmp_path, test_share=0.0, folds=3)
    folds: dict[str, set[int]] = {}
    for item in content["training"]:
        folds.setdefault(item["group"], set()).add(item["fold"])
    assert len(folds) == 6
    assert all(len(found) == 1 for found in folds.values())
