"""load_datalist reads the cases of a dataset with their folds, and select_cases those of one split."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from helpers.phantoms import write_case

from bundle.data import DatalistError, load_datalist, select_cases


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def write_json(path: Path, content: Any) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def pairs(*names: str) -> list[dict[str, str]]:
    return [{"image": f"imagesTr/{name}.nii.gz", "label": f"labelsTr/{name}.nii.gz"} for name in names]


def names(cases: list[dict[str, Any]]) -> list[str]:
    return [case["case"] for case in cases]


class TestDatalist:
    def test_a_dataset_in_msd_form_is_assigned_to_folds(self, tmp_path: Path) -> None:
        content = {"name": "X", "numTraining": 11, "training": pairs(*"abcdefghijk"), "test": ["./imagesTs/z.nii.gz"]}
        write_json(tmp_path / "dataset.json", content)
        lists = load_datalist(tmp_path, folds=3)
        assert names(lists["training"]) == list("abcdefghijk")
        assert lists["training"][0]["label"] == str(tmp_path / "labelsTr/a.nii.gz")
        assert sorted(case["fold"] for case in lists["training"]) == [0] * 4 + [1] * 4 + [2] * 3
        assert lists["test"] == []
        assert lists == load_datalist(tmp_path, folds=3)

    def test_folds_of_the_datalist_are_kept(self, tmp_path: Path) -> None:
        training = [{**item, "fold": fold} for item, fold in zip(pairs(*"abc"), (4, 0, 7), strict=True)]
        lists = load_datalist(tmp_path, write_json(tmp_path / "list.json", {"training": training}))
        assert [case["fold"] for case in lists["training"]] == [4, 0, 7]

    def test_folds_for_some_cases_alone_are_an_error(self, tmp_path: Path) -> None:
        training = [{**pairs("a")[0], "fold": 1}, *pairs("b")]
        write_json(tmp_path / "dataset.json", {"training": training})
        with pytest.raises(DatalistError, match="some cases have a 'fold' and others have none"):
            load_datalist(tmp_path)

    def test_a_validation_section_is_fold_0(self, tmp_path: Path) -> None:
        write_json(tmp_path / "dataset.json", {"training": pairs("a", "b"), "validation": pairs("c")})
        assert names(select_cases(tmp_path, "training")) == ["a", "b"]
        assert names(select_cases(tmp_path, "validation")) == ["c"]

    def test_test_cases_count_where_they_have_a_label(self, tmp_path: Path) -> None:
        write_json(tmp_path / "dataset.json", {"training": pairs("a"), "test": [*pairs("b"), "imagesTs/c.nii.gz"]})
        assert names(load_datalist(tmp_path)["test"]) == ["b"]

    def test_paths_of_a_datalist_elsewhere_are_relative_to_the_dataset(self, tmp_path: Path) -> None:
        path = write_json(tmp_path / "split.json", {"training": pairs("a")})
        (tmp_path / "data").mkdir()
        (case,) = load_datalist(tmp_path / "data", path)["training"]
        assert case["image"] == str(tmp_path / "data/imagesTr/a.nii.gz")

    @pytest.mark.parametrize("folders", [("imagesTr", "labelsTr"), ("images", "labels")])
    def test_without_a_datalist_images_and_labels_of_one_name_are_pairs(self, folders: tuple, tmp_path: Path) -> None:
        touch(tmp_path, *(f"{folder}/{name}" for folder in folders for name in ("b.nii.gz", "a.nii", "._a.nii")))
        lists = load_datalist(tmp_path)
        assert names(lists["training"]) == ["a", "b"]
        assert lists["test"] == []
        assert lists["training"][0]["image"] == str(tmp_path / folders[0] / "a.nii")
        assert lists["training"][0]["label"] == str(tmp_path / folders[1] / "a.nii")
        assert {case["fold"] for case in lists["training"]} == {0, 1}

    def test_an_image_without_a_label_is_an_error(self, tmp_path: Path) -> None:
        touch(tmp_path, "images/a.nii.gz", "images/b.nii.gz", "labels/a.nii.gz")
        with pytest.raises(DatalistError, match=r"no label for 1 images: b.nii.gz; remove them or add their labels"):
            load_datalist(tmp_path)

    @pytest.mark.parametrize("section", ["training", "validation"])
    def test_a_training_case_without_a_label_is_an_error(self, section: str, tmp_path: Path) -> None:
        write_json(tmp_path / "dataset.json", {section: [*pairs("a"), {"image": "imagesTr/b.nii.gz"}]})
        with pytest.raises(DatalistError, match=r"b.nii.gz has no label, but is one of the training cases"):
            load_datalist(tmp_path)

    def test_a_missing_file_that_is_listed_is_a_case_that_the_loader_reports(self, tmp_path: Path) -> None:
        write_json(tmp_path / "dataset.json", {"training": pairs("missing")})
        assert names(load_datalist(tmp_path)["training"]) == ["missing"]

    @pytest.mark.parametrize("folder", ["", "missing", "file"])
    def test_what_is_not_a_folder_is_an_error(self, folder: str, tmp_path: Path) -> None:
        touch(tmp_path, "file")
        with pytest.raises(DatalistError, match="is not a folder; pass --dataset_dir DIR"):
            load_datalist(tmp_path / folder if folder else "")

    def test_an_empty_folder_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(DatalistError, match=r"neither a dataset.json, volumes in imagesTr/labelsTr or images"):
            load_datalist(tmp_path)

    def test_a_missing_datalist_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(
            DatalistError, match=r"list.json: cannot be read as JSON .No such file or directory.*--datalist FILE"
        ):
            load_datalist(tmp_path, tmp_path / "list.json")

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            ('{"training": [', "cannot be read as JSON"),
            ([1, 2], "is not a JSON object"),
            ({"cases": []}, "is not a datalist"),
            ({"training": None}, "the section 'training' is not a list"),
            ({"training": {"a": "b"}}, "the section 'training' is not a list"),
            ({"training": [{"label": "b"}]}, "an item needs an 'image'"),
            ({"training": [["a", "b"]]}, "an item needs an 'image'"),
            ({"training": [{"image": [], "label": "c"}]}, "'image' is one path or a list of paths, one per channel"),
            ({"training": [{"image": ["a", 1], "label": "c"}]}, "'image' is one path or a list of paths"),
            ({"training": [{"image": "a", "label": None}]}, "and 'label' is one path"),
        ],
    )
    def test_a_file_of_another_form_is_an_error(self, content: Any, words: str, tmp_path: Path) -> None:
        path = write_json(tmp_path / "dataset.json", content)
        with pytest.raises(DatalistError, match=words) as caught:
            load_datalist(tmp_path)
        assert str(path) in str(caught.value)

    def test_bytes_that_are_not_text_are_an_error(self, tmp_path: Path) -> None:
        (tmp_path / "dataset.json").write_bytes(b"\xff\xfe\x00")
        with pytest.raises(DatalistError, match="cannot be read as JSON"):
            load_datalist(tmp_path)


class TestSplit:
    @pytest.fixture
    def dataset(self, tmp_path: Path) -> Path:
        training = [{**item, "fold": place % 3} for place, item in enumerate(pairs(*"abcdef"))]
        test = [{"image": "imagesTs/t.nii.gz", "label": "labelsTs/t.nii.gz"}]
        write_json(tmp_path / "dataset.json", {"training": training, "test": test})
        return tmp_path

    @pytest.mark.parametrize("fold", [0, 1, 2])
    def test_training_and_validation_are_disjoint_and_together_all(self, dataset: Path, fold: int) -> None:
        training, validation = (names(select_cases(dataset, name, fold=fold)) for name in ("training", "validation"))
        assert len(validation) == 2
        assert sorted(training + validation) == list("abcdef")

    def test_test_and_all_do_not_depend_on_the_fold(self, dataset: Path) -> None:
        assert names(select_cases(dataset, "test", fold=2)) == ["t"]
        assert names(select_cases(dataset, "all", fold=2)) == [*"abcdef", "t"]

    def test_without_a_fold_all_are_training_cases(self, dataset: Path) -> None:
        assert names(select_cases(dataset, "training", fold=None)) == list("abcdef")
        assert names(select_cases(dataset, "training", fold="all")) == list("abcdef")

    def test_where_no_fold_is_held_out_the_validation_is_of_training_cases_and_says_so(
        self, dataset: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        assert names(select_cases(dataset, "validation", fold="ALL")) == list("abcdef")
        assert "no fold is held out (fold all): figures of the validation are of training cases" in caplog.text

    @pytest.mark.parametrize("fold", ["first", -1, 1.5, "", True])
    def test_a_fold_is_a_number_or_all(self, fold: Any, dataset: Path) -> None:
        with pytest.raises(DatalistError, match="fold must be a number from 0 on, or all"):
            select_cases(dataset, "training", fold=fold)

    def test_the_number_of_cases_is_logged(self, dataset: Path, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO)
        select_cases(dataset, "validation", fold=1)
        assert f"{dataset}: 2 cases of the split 'validation' (fold 1)" in caplog.text

    def test_an_unknown_split_is_an_error(self, dataset: Path) -> None:
        with pytest.raises(DatalistError, match="split must be one of training, validation, test, all, got 'train'"):
            select_cases(dataset, "train")

    @pytest.mark.parametrize("fold", ["a", None, 1.5, True])
    def test_a_fold_that_is_not_an_integer_is_an_error(self, tmp_path: Path, fold: Any) -> None:
        item = {"image": "a.nii.gz", "label": "a.nii.gz", "fold": fold}
        path = write_json(tmp_path / "dataset.json", {"training": [item]})
        with pytest.raises(DatalistError, match=f"{path}: .*a.nii.gz has the fold {fold!r}; a fold is an integer"):
            select_cases(tmp_path, "training")

    def test_a_datalist_of_a_windows_editor_is_read(self, tmp_path: Path) -> None:
        content = json.dumps({"training": pairs("a", "b")})
        (tmp_path / "dataset.json").write_text(content, encoding="utf-8-sig")
        assert len(select_cases(tmp_path, "all")) == 2

    @pytest.mark.parametrize("split", ["training", "validation"])
    def test_an_unknown_fold_is_an_error(self, dataset: Path, split: str) -> None:
        with pytest.raises(DatalistError, match=r"has no fold 9, only \[0, 1, 2\]; pass --fold"):
            select_cases(dataset, split, fold=9)

    def test_an_empty_split_is_an_error_that_counts_the_others(self, tmp_path: Path) -> None:
        for name in "ab":
            write_case(tmp_path, name)
        with pytest.raises(DatalistError, match=r"'test' .fold 0. holds no labeled case.*validation 1, test 0, all 2"):
            select_cases(tmp_path, "test")


def test_a_patient_in_several_parts_of_the_split_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    items = [{"image": f"{n}.nii", "label": f"{n}_l.nii", "patient": f"p{n // 2}", "fold": n % 2} for n in range(4)]
    (tmp_path / "dataset.json").write_text(json.dumps({"training": items}))
    load_datalist(tmp_path)
    assert "2 patients lie in several parts of the split, such as p0" in caplog.text


def test_cases_of_a_split_have_equal_keys_so_that_they_share_a_batch(tmp_path: Path) -> None:
    items = [{"image": f"{n}.nii", "label": f"{n}_l.nii", "fold": 1} for n in range(2)]
    items[0] |= {"patient": 7, "complete": False}
    (tmp_path / "dataset.json").write_text(json.dumps({"training": items}))
    first, second = select_cases(tmp_path, "all")
    assert (first["patient"], first["complete"]) == ("7", False)
    assert (second["patient"], second["complete"]) == ("", True)
    assert "group" not in second


def test_fold_group_and_completeness_of_a_case_are_kept(tmp_path: Path) -> None:
    item = {"image": "a.nii.gz", "label": "a.json", "fold": 1, "group": "T2w", "complete": True, "age": 3}
    (tmp_path / "dataset.json").write_text(json.dumps({"training": [item]}))
    case = load_datalist(tmp_path)["training"][0]
    assert {name: case.get(name) for name in ("fold", "group", "complete", "age")} == {
        "fold": 1,
        "group": "T2w",
        "complete": True,
        "age": None,
    }


@pytest.mark.parametrize("key", ["group", "patient", "patient_id", "Subject ID", "lesion_id", "participant_id"])
def test_cases_of_a_patient_are_assigned_to_one_fold(key: str, tmp_path: Path) -> None:
    items = [
        {"image": f"p{patient}_{visit}.nii.gz", "label": f"l{patient}_{visit}.nii.gz", key: f"p{patient}"}
        for visit in range(3)
        for patient in range(6)
    ]
    (tmp_path / "dataset.json").write_text(json.dumps({"training": items}))
    folds: dict[str, set[int]] = {}
    for case in load_datalist(tmp_path, folds=3)["training"]:
        folds.setdefault(case["case"][:2], set()).add(case["fold"])
    assert len(folds) == 6
    assert all(len(found) == 1 for found in folds.values())
    assert set.union(*folds.values()) == {0, 1, 2}
