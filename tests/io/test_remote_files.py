"""Files at addresses are listed, described and copied by fsspec."""

from __future__ import annotations

import sys
from pathlib import Path

import fsspec
import pytest

from bundle.data import list_cases, list_images
from bundle.data.datalist_file import DatalistError
from bundle.io.remote_files import RemoteFileError, describe_remote, fetch, list_remote


@pytest.fixture
def bucket() -> str:
    system = fsspec.filesystem("memory")
    system.store.clear()
    for name in ("b.nii.gz", "a.nii", ".hidden.nii", "c.txt", "deeper/d.nii"):
        system.pipe(f"/bucket/{name}", name.encode())
    return "memory://bucket"


def test_a_folder_is_listed(bucket: str) -> None:
    assert list_remote(bucket) == ["a.nii", "b.nii.gz", "c.txt"]
    assert list(list_cases(bucket)) == [
        {"case": "a", "image": "memory://bucket/a.nii"},
        {"case": "b", "image": "memory://bucket/b.nii.gz"},
    ]
    assert list_cases(f"{bucket}/a.nii", "out") == [{"case": "a", "image": "memory://bucket/a.nii"}]


def test_2d_images_are_listed(bucket: str) -> None:
    for name in ("b.x.png", "a.JPG", "c.webp"):
        fsspec.filesystem("memory").pipe(f"/bucket/{name}", b"")
    listed = [("a", "a.JPG"), ("b.x", "b.x.png")]
    assert list(list_images(bucket)) == [{"case": name, "image": f"{bucket}/{file}"} for name, file in listed]
    assert list(list_images(f"{bucket}/b.x.png", "out")) == [{"case": "b.x", "image": f"{bucket}/b.x.png"}]
    with pytest.raises(DatalistError, match=r"memory://bucket/deeper: holds no \.png"):
        list_images(f"{bucket}/deeper")


def test_a_folder_without_volumes_and_one_that_is_missing_are_named(bucket: str) -> None:
    fsspec.filesystem("memory").pipe("/texts/a.txt", b"")
    with pytest.raises(DatalistError, match=r"memory://texts: holds no \.nii\.gz"):
        list_cases("memory://texts")
    with pytest.raises(RemoteFileError, match="memory://none: cannot be listed"):
        list_cases("memory://none")


def test_a_file_is_copied_and_a_failed_copy_leaves_nothing(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folder, copies = fetch([f"{bucket}/a.nii", f"file://{Path(__file__)}"])
    assert [path.read_bytes() for path in copies] == [b"a.nii", Path(__file__).read_bytes()]
    assert [path.name for path in copies] == ["a.nii", Path(__file__).name]
    assert list(tmp_path.iterdir()) == [folder]
    with pytest.raises(RemoteFileError, match=r"memory://bucket/none.nii: cannot be read \(FileNotFoundError"):
        fetch([f"{bucket}/a.nii", f"{bucket}/none.nii"])
    assert list(tmp_path.iterdir()) == [folder]


def test_a_description_changes_with_the_file(bucket: str) -> None:
    before = describe_remote(f"{bucket}/a.nii")
    assert before == describe_remote(f"{bucket}/a.nii")
    fsspec.filesystem("memory").pipe("/bucket/a.nii", b"longer")
    assert describe_remote(f"{bucket}/a.nii") != before
    assert describe_remote(f"{bucket}/none.nii") == [f"{bucket}/none.nii"]


def test_an_unknown_protocol_and_a_missing_package_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RemoteFileError, match="xyz://a: cannot be opened"):
        list_remote("xyz://a")
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(RemoteFileError, match=r"s3://a: needs the package fsspec; pip install"):
        list_remote("s3://a")
