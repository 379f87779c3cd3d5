"""Manifests and folders of many files are lists of cases that take little memory."""

from __future__ import annotations

import copy
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bundle.data import input_cases, list_cases, list_images
from bundle.data.datalist_file import DatalistError
from bundle.data.lazy_cases import FolderCases, LazyCases, ManifestCases, has_unique_names


def manifest(folder: Path, name: str, lines: list[str]) -> ManifestCases:
    path = folder / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    found = list_cases(path)
    assert isinstance(found, ManifestCases)
    return found


def least_memory(make: Callable[[], Any]) -> tuple[int, int]:
    """Return the bytes that a list of 20,000 cases holds, and the peak while it is made: the least of three times.

    What is imported stays, and the table of interned strings of Python, to which pathlib adds, is moved at times.
    """
    found = []
    for _ in range(3):
        tracemalloc.start()
        cases = make()
        found.append(tracemalloc.get_traced_memory())
        tracemalloc.stop()
        assert len(cases) == 20_000
    return min(held for held, _ in found), min(peak for _, peak in found)


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
    assert copy.deepcopy(cases)[1] == cases[1]
    (tmp_path / "a.nii.gz").touch()
    with pytest.raises(DatalistError, match="would write the same output"):
        list_cases(tmp_path)


def test_many_files_of_folders_below_and_of_a_pattern_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(input_cases, "MANY", 1)
    for name in ("b-1/c.nii", "b/d.nii", "a.nii"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    listed = [list_cases(tmp_path, recursive=True), list_cases(f"{tmp_path}/**/*.nii")]
    assert all(isinstance(cases, FolderCases) for cases in listed)
    expected = [
        (name, str(tmp_path / path)) for name, path in zip("adc", ("a.nii", "b/d.nii", "b-1/c.nii"), strict=True)
    ]
    assert [[(case["case"], case["image"]) for case in cases] for cases in listed] == [expected] * 2


def test_many_2d_images_of_a_folder_are_named_without_their_endings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(input_cases, "MANY", 1)
    for name in ("b.x.png", "a.JPG", "a_superpixels.png", "c.webp", "a.gif"):
        (tmp_path / name).touch()
    cases = list_images(tmp_path)
    assert isinstance(cases, FolderCases)
    assert [case["case"] for case in cases] == ["a", "b.x", "c"]
    (tmp_path / "b.x.jpg").touch()
    with pytest.raises(DatalistError, match="would write the same output"):
        list_images(tmp_path)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_names_are_unique_if_none_is_there_twice_or_is_that_of_the_summary(number: int) -> None:
    assert has_unique_names(["a.nii", "b.nii", "c.nii"][:number])
    assert not has_unique_names([*["a.nii", "b.nii", "c.nii"][number:], "summary.mha"])
    assert not has_unique_names(["a.nii", "a.nii.gz"])


def test_a_list_of_a_folder_takes_little_memory_while_it_is_made(tmp_path: Path) -> None:
    for number in range(20_000):
        (tmp_path / f"sub-{number:06d}_T1w.nii.gz").touch()
    held, peak = least_memory(lambda: list_cases(tmp_path, tmp_path / "out"))
    assert held < 20_000 * 8
    assert peak < 4_000_000


class TestImages:
    """Manifests name 2D images, too."""

    def test_a_manifest_names_cases_after_images_without_their_endings(self, tmp_path: Path) -> None:
        (tmp_path / "m.csv").write_text("image,case\na/b.x.png,\nc.jpg,d\nmemory://k/e.tif,\n")
        (tmp_path / "m.jsonl").write_text('{"image": "a/b.x.png"}\n{"image": ["c.jpg"], "case": "d"}\n')
        listed = [{"case": "b.x", "image": f"{tmp_path}/a/b.x.png"}, {"case": "d", "image": f"{tmp_path}/c.jpg"}]
        assert list(list_images(tmp_path / "m.jsonl")) == listed
        assert list(list_images(tmp_path / "m.csv")) == [*listed, {"case": "e", "image": "memory://k/e.tif"}]

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ('{"image": ["a.png", "b.png"]}', r"line 1 is not a case \(ValueError: a 2D image is one file"),
            ('{"image": "a/x.png"}\n{"image": "b/x.jpg"}', "two cases would write the same output, x"),
            ('{"image": "out/x.png"}', "lies in output_dir"),
        ],
    )
    def test_a_mistake_in_it_is_named(self, line: str, message: str, tmp_path: Path) -> None:
        (tmp_path / "m.jsonl").write_text(line)
        with pytest.raises(DatalistError, match=message):
            list_images(tmp_path / "m.jsonl", tmp_path / "out")


def test_little_is_kept_of_a_case(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text("image\n" + "".join(f"sub-{number:06d}_T1w.nii.gz\n" for number in range(20_000)))
    held, peak = least_memory(lambda: list_cases(path))
    assert held < 20_000 * 20
    assert peak < 4_000_000


def test_a_list_says_how_its_cases_are_made() -> None:
    with pytest.raises(TypeError, match="abstract"):
        LazyCases()  # type: ignore[abstract]
