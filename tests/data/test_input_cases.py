"""list_cases and list_images turn what a user names into cases, or raise an error that states what to name instead."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from bundle.data import DatalistError, list_cases, list_images


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


def images_and_masks(root: Path, count: int = 10) -> Path:
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
        for number in range(count):
            (root / folder / f"ISIC_{number:07}.png").touch()
    return root


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

    def test_the_folder_of_the_results_is_not_an_input(self, tmp_path: Path) -> None:
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

    def test_volumes_series_and_formats_that_are_not_read_are_all_listed(self, tmp_path: Path) -> None:
        """Else those of one kind would be lost where there is one of another kind."""
        touch(tmp_path, "a.nii.gz", "b.mgz", "c.hdr", "c.img", "d.img.gz", ".e.mgz", "series/1.dcm")
        (tmp_path / "series" / "1.dcm").write_bytes(bytes(128) + b"DICM")
        assert names(list_cases(tmp_path)) == ["a", "b.mgz", "c.hdr", "d.img.gz", "series"]

    def test_volumes_in_folders_below_are_logged(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        touch(tmp_path, "a.nii.gz", "deeper/b.nii.gz", "out/a_seg.nii.gz")
        assert names(list_cases(tmp_path, tmp_path / "out")) == ["a"]
        assert f"1 volumes in folders below are not listed, such as {tmp_path / 'deeper' / 'b.nii.gz'}" in caplog.text
        with pytest.raises(DatalistError, match=r"deeper holds some; pass --recursive true to list all 1; pass --i"):
            list_cases(touch(tmp_path / "above", "deeper/b.nii.gz"))

    def test_volumes_in_folders_below_are_listed_if_wanted(self, tmp_path: Path) -> None:
        touch(tmp_path, "a.nii.gz", "x/b.nii", "x/c.mgz", "y/b.nii", "out/a_seg.nii.gz", "out/below/z.nii")
        found = list_cases(tmp_path, tmp_path / "out", recursive="true")
        assert names(found) == ["a", "x_b", "c.mgz", "y_b"]

    def test_a_pattern_names_several_files(self, tmp_path: Path) -> None:
        touch(tmp_path, "p1/t1.nii", "p2/t1.nii", "p2/t2.nii")
        assert names(list_cases(f"{tmp_path}/*/t1.nii")) == ["p1_t1", "p2_t1"]
        assert names(list_cases(f"{tmp_path}/p3/*.nii")) == ["*"]

    def test_a_bids_dataset_is_the_volumes_in_its_anat_folders(self, tmp_path: Path) -> None:
        touch(tmp_path, "sub-1/anat/sub-1_T1w.nii.gz", "sub-2/ses-1/anat/sub-2_ses-1_T1w.nii.gz")
        touch(tmp_path, "sub-1/func/sub-1_bold.nii.gz", "derivatives/x/sub-1/anat/sub-1_dseg.nii.gz")
        assert names(list_cases(tmp_path)) == ["sub-1_T1w", "sub-2_ses-1_T1w"]

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
        touch(tmp_path, "b/b_t1.nii.gz", "b/b_t2.nii.gz", "a/t1.nii", "a/t2.nii", "out/b_seg.nii.gz", "out/x.nii")
        cases = list_cases(tmp_path, tmp_path / "out", modalities=["t2", "t1"])
        assert names(cases) == ["a", "b"]
        assert cases[1]["image"] == [str(tmp_path / "b" / f"b_{name}.nii.gz") for name in ("t2", "t1")]
        with pytest.raises(DatalistError, match="holds no files whose names end with flair, t1"):
            list_cases(tmp_path, modalities=["flair", "t1"])
        with pytest.raises(DatalistError, match=r"t2.nii: lies in output_dir"):
            list_cases(tmp_path, tmp_path / "a", modalities=["t2", "t1"])

    def test_what_belongs_to_no_complete_image_is_a_case_too_so_that_loading_reports_it(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        touch(tmp_path, "a/a_t1.nii.gz", "a/a_t2.nii.gz", "a/a_seg.nii.gz", "b/b_T1.nii.gz", "b/b_T2.nii.gz")
        touch(tmp_path, "c/c_t1.nii.gz", "d.nii.gz", "e/e_one.nii.gz", "f/f_t1.mgz", "g/1.dcm")
        (tmp_path / "g" / "1.dcm").write_bytes(bytes(128) + b"DICM")
        cases = {case["case"]: case["image"] for case in list_cases(tmp_path, modalities=["t1", "t2"])}
        assert list(cases) == ["a", "b", "c", "d", "e_one", "f_t1.mgz", "g"]
        assert cases["c"] == [str(tmp_path / "c" / f"c_{name}.nii.gz") for name in ("t1", "t2")]
        assert cases["d"] == str(tmp_path / "d.nii.gz")
        assert f"{tmp_path / 'c' / 'c'} lacks t2" in caplog.text
        assert "1 volumes beside the channels are not used, such as" in caplog.text
        caplog.clear()
        assert names(list_cases(tmp_path / "b", modalities=["t1", "t2"])) == ["b"]
        assert not caplog.text

    def test_without_a_complete_image_the_error_names_what_is_lacking(self, tmp_path: Path) -> None:
        touch(tmp_path, "c/c_t1.nii.gz")
        with pytest.raises(DatalistError, match=r"whose names end with t1, t2 .*c lacks t2.; pass --input"):
            list_cases(tmp_path, modalities=["t1", "t2"])

    def test_volumes_of_several_channels_are_files_as_ever(self, tmp_path: Path) -> None:
        touch(tmp_path, "a.nii.gz")
        assert names(list_cases(tmp_path, modalities=["flair", "t1"])) == ["a"]

    def test_one_modality_is_a_file_as_ever(self, tmp_path: Path) -> None:
        touch(tmp_path, "a.nii.gz")
        assert list_cases(tmp_path, modalities=["T1"]) == [{"case": "a", "image": str(tmp_path / "a.nii.gz")}]

    def test_two_images_of_one_name_are_listed_with_all_their_files(self, tmp_path: Path) -> None:
        item = {"image": ["a_1.nii", "a_2.nii"]}
        path = write_json(tmp_path / "dataset.json", {"test": [item, item]})
        with pytest.raises(DatalistError, match=r"a_1.nii, .*a_2.nii, .*a_1.nii, .*a_2.nii; rename or remove"):
            list_cases(path)


def test_2d_images_of_other_formats_are_listed_so_that_loading_reports_them(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "a.gif", "b.webp", "C.HEIC", "notes.txt", ".d.webp")
    assert names(list_images(tmp_path)) == ["C", "a", "b"]


def test_an_image_a_folder_and_a_datalist_can_be_named(tmp_path: Path) -> None:
    images = images_and_masks(tmp_path, 3) / "images"
    assert names(list_images(images)) == ["ISIC_0000000", "ISIC_0000001", "ISIC_0000002"]
    assert list_images(images / "a.b.jpg") == [{"case": "a.b", "image": str(images / "a.b.jpg")}]
    (tmp_path / "dataset.json").write_text(json.dumps({"test": ["images/ISIC_0000002.png"]}))
    (case,) = list_images(tmp_path / "dataset.json")
    assert case == {"case": "ISIC_0000002", "image": str(images / "ISIC_0000002.png")}


def test_names_that_clash_begin_with_the_names_of_their_folders(tmp_path: Path) -> None:
    (tmp_path / "dataset.json").write_text(json.dumps({"test": ["small/1.png", "large/1.png", "large/2.png"]}))
    assert names(list_images(tmp_path / "dataset.json")) == ["small_1", "large_1", "2"]


def test_images_that_cannot_be_listed_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatalistError, match="input is not set"):
        list_images("")
    with pytest.raises(DatalistError, match="holds no image"):
        list_images(tmp_path)
    (tmp_path / "dataset.json").write_text(json.dumps({"test": []}))
    with pytest.raises(DatalistError, match="'test' lists no image"):
        list_images(tmp_path / "dataset.json")
    for ending in ("png", "jpg"):
        (tmp_path / f"a.{ending}").touch()
    with pytest.raises(DatalistError, match="would write the same output"):
        list_images(tmp_path)
    (tmp_path / "a.jpg").unlink()
    with pytest.raises(DatalistError, match="lies in output_dir"):
        list_images(tmp_path, tmp_path)


def test_images_in_folders_below_are_listed_if_wanted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    touch(tmp_path, "a/x.png", "b/x.png", "out/x_mask.png")
    with pytest.raises(DatalistError, match=r"holds no image, but .*a holds some; pass --recursive true to list all 2"):
        list_images(tmp_path, tmp_path / "out")
    assert names(list_images(tmp_path, tmp_path / "out", recursive=True)) == ["a_x", "b_x"]
    assert names(list_images(f"{tmp_path}/b/*.png")) == ["x"]
    touch(tmp_path, "c.jpg")
    assert names(list_images(tmp_path, tmp_path / "out")) == ["c"]
    assert "2 images in folders below are not listed" in caplog.text
