"""Manifests and folders of many files are lists of cases that take little memory."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import pytest

from bundle.data import input_cases, list_cases
from bundle.data.datalist_file import DatalistError
from bundle.data.lazy_cases import FolderCases, LazyCases, ManifestCases


def manifest(folder: Path, name: str, lines: list[str]) -> ManifestCases:
    path = folder / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    found = list_cases(path)
    assert isinstance(found, ManifestCases)
    return found


def test_a_csv_names_images_and_cases(tmp_path: Path) -> None:
    cases = manifest(
        tmp_path,
        "m.csv",
        ["\ufeffcase,age,image", "a,5,x/scan.nii.gz", "", '"b,1",6,/data/scan.nii.gz', ",7,s3://k/c.nii"],
    )
    assert list(cases) == [
        {"case": "a", "image": str(tmp_path / "x" / "scan.nii.gz")},
        {"case": "b,1", "image": "/data/scan.nii.gz"},
        {"case": "c", "image": "s3://k/c.nii"},
    ]
    assert cases[-1] == cases[2]
    assert cases[:2] == [cases[0], cases[1]]
    with pytest.raises(IndexError):
        cases[3]


def test_json_lines_may_name_channels(tmp_path: Path) -> None:
    lines = [json.dumps({"image": ["a_t1.nii", "a_t2.nii"], "case": "a"}), json.dumps({"image": "b.nii"})]
    assert list(manifest(tmp_path, "m.jsonl", lines)) == [
        {"case": "a", "image": [str(tmp_path / "a_t1.nii"), str(tmp_path / "a_t2.nii")]},
        {"case": "b", "image": str(tmp_path / "b.nii")},
    ]


@pytest.mark.parametrize(
    ("name", "lines", "message"),
    [
        ("m.csv", ["path", "a.nii"], "has no column 'image'"),
        ("m.csv", ["image"], "lists no image"),
        ("m.csv", ["image", "a/x.nii", "b/x.nii"], "two cases would write the same output, x; name them by 'case'"),
        ("m.csv", ["image", "summary.nii"], "would write the same output, summary"),
        ("m.csv", ["case,image", "a,"], r"line 1 is not a case \(ValueError: an image is a path\)"),
        ("m.csv", ["case,image", "a/b,c.nii"], "a name without /"),
        ("m.jsonl", ["[1]"], r"line 1 is not a case \(TypeError"),
        ("m.jsonl", ['{"image": []}'], r"line 1 is not a case \(IndexError"),
        ("m.jsonl", ['{"image": "a.nii"}', "{"], "line 2 is not a case"),
    ],
)
def test_a_mistake_in_a_manifest_is_named(name: str, lines: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(DatalistError, match=message):
        manifest(tmp_path, name, lines)


def test_a_manifest_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatalistError, match=r"none.csv: cannot be read"):
        list_cases(tmp_path / "none.csv")


def test_an_image_of_a_manifest_may_not_lie_among_the_results(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("image\nout/a.nii\n")
    with pytest.raises(DatalistError, match="lies in output_dir"):
        list_cases(tmp_path / "m.csv", tmp_path / "out")


def test_many_files_of_a_folder_are_made_when_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(input_cases, "MANY", 1)
    for name in ("b.nii.gz", "a.nii", "._a.nii", "c.txt"):
        (tmp_path / name).touch()
    cases = list_cases(tmp_path)
    assert isinstance(cases, FolderCases)
    assert list(cases) == [
        {"case": "a", "image": str(tmp_path / "a.nii")},
        {"case": "b", "image": str(tmp_path / "b.nii.gz")},
    ]
    (tmp_path / "a.nii.gz").touch()
    with pytest.raises(DatalistError, match="would write the same output"):
        list_cases(tmp_path)


def test_little_is_kept_of_a_case(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text("image\n" + "".join(f"sub-{number:06d}_T1w.nii.gz\n" for number in range(20_000)))
    list_cases(path)  # whatever it imports stays
    tracemalloc.start()
    cases = list_cases(path)
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert len(cases) == 20_000
    assert held < 20_000 * 20


def test_a_list_says_how_its_cases_are_made() -> None:
    with pytest.raises(TypeError, match="abstract"):
        LazyCases()  # type: ignore[abstract]
