"""What a user names becomes a list of cases with unique names, or an error that says what to name instead."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from helpers.phantoms import write_case

from bundle.data import DatalistError, list_cases, load_datalist, select_cases


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


class TestInput:
    def test_a_file_is_one_case_named_after_it(self) -> None:
        assert list_cases("folder/brain.T1.nii.gz") == [{"case": "brain.T1", "image": "folder/brain.T1.nii.gz"}]
        assert list_cases(Path("scan.NII")) == [{"case": "scan", "image": "scan.NII"}]

    def test_a_file_that_does_not_exist_or_is_of_another_kind_is_a_case_for_the_loader_to_judge(self) -> None:
        assert list_cases("/no/such/file.png") == [{"case": "file.png", "image": "/no/such/file.png"}]

    def test_a_folder_is_the_nifti_files_directly_in_it_in_order(self, tmp_path: Path) -> None:
        touch(tmp_path, "b.nii.gz", "a.nii", "C.NII.GZ", "notes.txt", "deeper/d.nii.gz")
        assert names(list_cases(tmp_path)) == ["C", "a", "b"]
        assert [case["image"] for case in list_cases(str(tmp_path))] == [
            str(tmp_path / name) for name in ("C.NII.GZ", "a.nii", "b.nii.gz")
        ]

    def test_hidden_files_are_no_cases(self, tmp_path: Path) -> None:
        """macOS leaves ``._a.nii.gz`` beside ``a.nii.gz`` in archives, those of the MSD among them."""
        touch(tmp_path, "a.nii.gz", "._a.nii.gz", ".partial_b.nii.gz")
        assert names(list_cases(tmp_path)) == ["a"]

    def test_the_folder_of_the_results_is_no_input(self, tmp_path: Path) -> None:
        """Else the next run would segment the label maps of this one."""
        touch(tmp_path, "a.nii.gz")
        assert list_cases(tmp_path, tmp_path / "out")
        for source in (tmp_path, tmp_path / "a.nii.gz"):
            with pytest.raises(DatalistError, match=r"a.nii.gz: lies in output_dir, among the results"):
                list_cases(source, f"{tmp_path}/.")

    def test_label_maps_of_an_earlier_run_in_the_folder_are_no_case_but_a_series_there_is_refused(
        self, tmp_path: Path
    ) -> None:
        for name in ("a/1.dcm", "b/1.dcm", "out/a_seg.dcm"):
            (touch(tmp_path, name) / name).write_bytes(bytes(128) + b"DICM")
        (tmp_path / "out" / "a.json").touch()
        assert names(list_cases(tmp_path, f"{tmp_path}/b/../out")) == ["a", "b"]
        assert names(list_cases(tmp_path)) == ["a", "b", "out"]
        with pytest.raises(DatalistError, match=r"b: lies in output_dir, among the results"):
            list_cases(tmp_path, tmp_path / "b")

    def test_no_case_has_the_name_of_the_summary(self, tmp_path: Path) -> None:
        touch(tmp_path / "scans", "summary.nii.gz")
        assert names(list_cases(tmp_path / "scans")) == ["scans_summary"]

    def test_other_keys_of_a_datalist_do_not_reach_the_cases(self, tmp_path: Path) -> None:
        item = {"image": "a.nii.gz", "case": "b", "failure": 1, "fold": 0}
        path = write_json(tmp_path / "dataset.json", {"test": [item]})
        assert list_cases(path) == [{"case": "a", "image": str(tmp_path / "a.nii.gz")}]

    def test_a_relative_path_stays_relative(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        touch(tmp_path, "a.nii.gz")
        monkeypatch.chdir(tmp_path)
        assert list_cases(".") == [{"case": "a", "image": "a.nii.gz"}]

    def test_a_datalist_is_its_test_section(self, tmp_path: Path) -> None:
        items = ["./imagesTs/b.nii.gz", {"image": "imagesTs/a.nii.gz", "label": "labelsTs/a.nii.gz"}]
        path = write_json(tmp_path / "dataset.json", {"training": pairs("c"), "test": items})
        assert list_cases(path) == [
            {"case": "b", "image": str(tmp_path / "imagesTs/b.nii.gz")},
            {"case": "a", "image": str(tmp_path / "imagesTs/a.nii.gz")},
        ]

    def test_nothing_named_is_an_error(self) -> None:
        with pytest.raises(DatalistError, match="input is not set; pass --input"):
            list_cases("")

    def test_a_folder_without_nifti_files_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(DatalistError, match=f"{tmp_path}: the folder holds no .nii, .nii.gz, .nrrd"):
            list_cases(touch(tmp_path, "a.dcm"))

    @pytest.mark.parametrize("content", [{"training": []}, {"training": pairs("a"), "test": []}])
    def test_a_datalist_without_test_images_is_an_error(self, content: Any, tmp_path: Path) -> None:
        with pytest.raises(DatalistError, match="the section 'test' lists no image"):
            list_cases(write_json(tmp_path / "dataset.json", content))


class TestChannels:
    """An image may have a file for every channel."""

    def test_an_image_of_several_files_is_named_after_what_they_share(self, tmp_path: Path) -> None:
        items = [
            ["x/a_flair.nii.gz", "x/a_t1.nii.gz"],
            ["b/flair.nii.gz", "b/t1.nii.gz"],
            ["y/a_flair.nii.gz", "y/a_t1.nii.gz"],
            ["c.nii.gz"],
            ["flair.nii.gz", "t1.nii.gz"],
        ]
        path = write_json(tmp_path / "dataset.json", {"test": [{"image": item} for item in items]})
        cases = list_cases(path)
        assert names(cases) == ["x_a", "b", "y_a", "c", tmp_path.name]
        assert cases[0]["image"] == [str(tmp_path / file) for file in items[0]]
        assert cases[3]["image"] == str(tmp_path / "c.nii.gz")

    def test_files_without_a_folder_are_named_after_the_first(self, tmp_path: Path, monkeypatch: Any) -> None:
        monkeypatch.chdir(tmp_path)
        write_json(Path("list.json"), {"test": [{"image": ["t1.nii", "t2.nii"]}]})
        assert names(list_cases("list.json")) == ["t1"]

    def test_a_folder_is_searched_for_the_modalities(self, tmp_path: Path) -> None:
        touch(tmp_path, "b/b_t1.nii.gz", "b/b_t2.nii.gz", "a/t1.nii", "a/t2.nii", "c/c_t2.nii", "out/b_seg.nii.gz")
        cases = list_cases(tmp_path, tmp_path / "out", modalities=["t2", "t1"])
        assert names(cases) == ["a", "b"]
        assert cases[1]["image"] == [str(tmp_path / "b" / f"b_{name}.nii.gz") for name in ("t2", "t1")]
        with pytest.raises(DatalistError, match="holds no files whose names end with flair, t1"):
            list_cases(tmp_path, modalities=["flair", "t1"])
        with pytest.raises(DatalistError, match=r"t2.nii: lies in output_dir"):
            list_cases(tmp_path, tmp_path / "a", modalities=["t2", "t1"])

    def test_volumes_of_several_channels_are_files_as_ever(self, tmp_path: Path) -> None:
        touch(tmp_path, "a.nii.gz")
        assert names(list_cases(tmp_path, modalities=["flair", "t1"])) == ["a"]

    def test_one_modality_is_a_file_as_ever(self, tmp_path: Path) -> None:
        touch(tmp_path, "a.nii.gz")
        assert list_cases(tmp_path, modalities=["T1"]) == [{"case": "a", "image": str(tmp_path / "a.nii.gz")}]

    def test_two_images_of_one_name_tell_all_their_files(self, tmp_path: Path) -> None:
        item = {"image": ["a_1.nii", "a_2.nii"]}
        path = write_json(tmp_path / "dataset.json", {"test": [item, item]})
        with pytest.raises(DatalistError, match=r"a_1.nii, .*a_2.nii, .*a_1.nii, .*a_2.nii; rename or remove"):
            list_cases(path)


class TestNames:
    def test_the_same_name_in_two_folders_is_told_apart_by_the_folders(self, tmp_path: Path) -> None:
        items = ["sub-01/T1.nii.gz", "sub-02/T1.nii.gz", "sub-02/T2.nii.gz"]
        path = write_json(tmp_path / "dataset.json", {"test": items})
        assert names(list_cases(path)) == ["sub-01_T1", "sub-02_T1", "T2"]

    def test_as_many_folders_as_needed_are_taken(self, tmp_path: Path) -> None:
        items = ["sub-01/anat/T1.nii.gz", "sub-02/anat/T1.nii.gz", "sub-03/T1.nii.gz"]
        path = write_json(tmp_path / "dataset.json", {"test": items})
        assert names(list_cases(path)) == ["sub-01_anat_T1", "sub-02_anat_T1", "sub-03_T1"]

    def test_a_name_made_of_folders_does_not_meet_another_one(self, tmp_path: Path) -> None:
        items = ["x/a/b.nii.gz", "y/c/b.nii.gz", "z/a_b.nii.gz"]
        path = write_json(tmp_path / "dataset.json", {"test": items})
        found = names(list_cases(path))
        assert len(set(found)) == 3

    def test_a_training_and_a_test_case_of_one_name_are_told_apart(self, tmp_path: Path) -> None:
        test = [{"image": "imagesTs/a.nii.gz", "label": "labelsTs/a.nii.gz"}]
        write_json(tmp_path / "dataset.json", {"training": pairs("a", "b"), "test": test})
        lists = load_datalist(tmp_path)
        assert names(lists["training"]) == ["imagesTr_a", "b"]
        assert names(lists["test"]) == ["imagesTs_a"]

    def test_two_files_that_differ_in_their_ending_alone_are_an_error(self, tmp_path: Path) -> None:
        touch(tmp_path, "a.nii", "a.nii.gz", "b.nii")
        with pytest.raises(DatalistError, match="these images would write the same output") as caught:
            list_cases(tmp_path)
        for name in ("a.nii", "a.nii.gz"):
            assert str(tmp_path / name) in str(caught.value)
        assert "b.nii" not in str(caught.value)


class TestDatalist:
    def test_a_dataset_in_msd_form_is_dealt_to_folds(self, tmp_path: Path) -> None:
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
        with pytest.raises(DatalistError, match=r"no label for b.nii.gz; the names must be the same"):
            load_datalist(tmp_path)

    @pytest.mark.parametrize("section", ["training", "validation"])
    def test_a_training_case_without_a_label_is_an_error(self, section: str, tmp_path: Path) -> None:
        write_json(tmp_path / "dataset.json", {section: [*pairs("a"), {"image": "imagesTr/b.nii.gz"}]})
        with pytest.raises(DatalistError, match=r"b.nii.gz has no label, but stands among the cases to train with"):
            load_datalist(tmp_path)

    def test_a_missing_file_that_is_listed_is_a_case_for_the_loader_to_judge(self, tmp_path: Path) -> None:
        write_json(tmp_path / "dataset.json", {"training": pairs("missing")})
        assert names(load_datalist(tmp_path)["training"]) == ["missing"]

    @pytest.mark.parametrize("folder", ["", "missing", "file"])
    def test_what_is_no_folder_is_an_error(self, folder: str, tmp_path: Path) -> None:
        touch(tmp_path, "file")
        with pytest.raises(DatalistError, match="is not a folder; pass --dataset_dir DIR"):
            load_datalist(tmp_path / folder if folder else "")

    def test_an_empty_folder_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(
            DatalistError, match=r"neither a dataset.json nor NIfTI files in imagesTr/labelsTr or images"
        ):
            load_datalist(tmp_path)

    def test_a_missing_datalist_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(
            DatalistError, match=r"list.json: cannot be read .No such file or directory.*--datalist FILE"
        ):
            load_datalist(tmp_path, tmp_path / "list.json")

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            ('{"training": [', "is not JSON"),
            ([1, 2], "is no MSD datalist"),
            ({"cases": []}, "is no MSD datalist"),
            ({"training": None}, "the section 'training' is no list"),
            ({"training": {"a": "b"}}, "the section 'training' is no list"),
            ({"training": [{"label": "b"}]}, "an item needs an 'image'"),
            ({"training": [["a", "b"]]}, "an item needs an 'image'"),
            ({"training": [{"image": [], "label": "c"}]}, "'image' is one path or a list of them, one a channel"),
            ({"training": [{"image": ["a", 1], "label": "c"}]}, "'image' is one path or a list of them"),
            ({"training": [{"image": "a", "label": None}]}, "and 'label' is one path"),
        ],
    )
    def test_a_file_of_another_form_is_an_error(self, content: Any, words: str, tmp_path: Path) -> None:
        path = write_json(tmp_path / "dataset.json", content)
        with pytest.raises(DatalistError, match=words) as caught:
            load_datalist(tmp_path)
        assert str(path) in str(caught.value)

    def test_bytes_that_are_no_text_are_an_error(self, tmp_path: Path) -> None:
        (tmp_path / "dataset.json").write_bytes(b"\xff\xfe\x00")
        with pytest.raises(DatalistError, match="is not JSON"):
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

    def test_without_a_fold_all_are_to_train_with(self, dataset: Path) -> None:
        assert names(select_cases(dataset, "training", fold=None)) == list("abcdef")
        with pytest.raises(DatalistError, match=r"'validation' .fold None. holds no labelled case"):
            select_cases(dataset, "validation", fold=None)

    def test_the_number_of_cases_is_logged(self, dataset: Path, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO)
        select_cases(dataset, "validation", fold=1)
        assert f"{dataset}: 2 cases of the split 'validation' (fold 1)" in caplog.text

    def test_an_unknown_split_is_an_error(self, dataset: Path) -> None:
        with pytest.raises(DatalistError, match="split must be one of training, validation, test, all, got 'train'"):
            select_cases(dataset, "train")

    @pytest.mark.parametrize("fold", ["a", None, 1.5, True])
    def test_a_fold_that_is_no_whole_number_is_an_error(self, tmp_path: Path, fold: Any) -> None:
        item = {"image": "a.nii.gz", "label": "a.nii.gz", "fold": fold}
        path = write_json(tmp_path / "dataset.json", {"training": [item]})
        with pytest.raises(DatalistError, match=f"{path}: .*a.nii.gz has the fold {fold!r}; a fold is a whole number"):
            select_cases(tmp_path, "training")

    def test_a_datalist_of_a_windows_editor_is_read(self, tmp_path: Path) -> None:
        content = json.dumps({"training": pairs("a", "b")})
        (tmp_path / "dataset.json").write_text(content, encoding="utf-8-sig")
        assert len(select_cases(tmp_path, "all")) == 2

    @pytest.mark.parametrize("split", ["training", "validation"])
    def test_a_fold_that_is_not_there_is_an_error(self, dataset: Path, split: str) -> None:
        with pytest.raises(DatalistError, match=r"has no fold 9, only \[0, 1, 2\]; pass --fold"):
            select_cases(dataset, split, fold=9)

    def test_an_empty_split_is_an_error_that_counts_the_others(self, tmp_path: Path) -> None:
        for name in "ab":
            write_case(tmp_path, name)
        with pytest.raises(DatalistError, match=r"'test' .fold 0. holds no labelled case.*validation 1, test 0, all 2"):
            select_cases(tmp_path, "test")


def test_notes_on_a_case_are_kept(tmp_path: Path) -> None:
    item = {"image": "a.nii.gz", "label": "a.json", "fold": 1, "group": "T2w", "complete": True, "age": 3}
    (tmp_path / "dataset.json").write_text(json.dumps({"training": [item]}))
    case = load_datalist(tmp_path)["training"][0]
    assert {name: case.get(name) for name in ("fold", "group", "complete", "age")} == {
        "fold": 1,
        "group": "T2w",
        "complete": True,
        "age": None,
    }


def test_cases_of_a_patient_are_dealt_to_one_fold(tmp_path: Path) -> None:
    items = [
        {"image": f"p{patient}_{visit}.nii.gz", "label": f"l{patient}_{visit}.nii.gz", "group": f"p{patient}"}
        for visit in range(3)
        for patient in range(6)
    ]
    (tmp_path / "dataset.json").write_text(json.dumps({"training": items}))
    folds: dict[str, set[int]] = {}
    for case in load_datalist(tmp_path, folds=3)["training"]:
        folds.setdefault(case["group"], set()).add(case["fold"])
    assert all(len(found) == 1 for found in folds.values())
    assert set.union(*folds.values()) == {0, 1, 2}
