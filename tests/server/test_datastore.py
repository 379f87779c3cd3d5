"""Images and labels are checked before they are stored in the study folder."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from helpers.phantoms import write_case
from PIL import Image

from bundle.server.datastore import StudyDatastore
from bundle.server.label_tasks import IMAGE, VOLUME
from bundle.server.server_errors import RequestError


@pytest.fixture
def store(tmp_path: Path) -> StudyDatastore:
    """A folder with the volume ``a``."""
    case = write_case(tmp_path / "case", "a")
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "a.nii.gz").write_bytes(Path(case["image"]).read_bytes())
    return StudyDatastore(str(tmp_path / "studies"), VOLUME)


def get_status(error: pytest.ExceptionInfo[RequestError]) -> int:
    return error.value.status


def test_images_of_the_kind_are_listed(tmp_path: Path, store: StudyDatastore) -> None:
    assert store.list_images() == ["a"]
    images_2d = tmp_path / "images"
    images_2d.mkdir()
    Image.fromarray(np.zeros((3, 4, 3), np.uint8)).save(images_2d / "p.jpeg")
    (images_2d / "a.nii.gz").touch()
    assert StudyDatastore(str(images_2d), IMAGE).list_images() == ["p"]


def test_hidden_files_and_labels_are_not_listed_and_extensions_may_be_in_capitals(tmp_path: Path) -> None:
    case = Path(write_case(tmp_path / "case", "a")["image"]).read_bytes()
    studies = tmp_path / "mixed"
    studies.mkdir()
    for name in ("a.nii.gz", "B.NII.GZ", "._a.nii.gz"):
        (studies / name).write_bytes(case)
    (studies / "a.mrk.json").write_text("{}")
    (studies / "notes.txt").touch()
    store = StudyDatastore(str(studies), VOLUME)
    assert sorted(store.list_images()) == ["B", "a"]
    assert Path(store.get_image_uri("a")).name == "a.nii.gz"
    assert Path(store.get_image_uri("B")).name == "B.NII.GZ"
    assert store._to_id("notes.txt") == ("notes", ".txt")


def test_images_are_added_under_plain_new_names(tmp_path: Path, store: StudyDatastore) -> None:
    file = str(tmp_path / "case" / "images" / "a.nii.gz")
    assert store.add_image("b", file, {}) == "b"
    assert (tmp_path / "studies" / "b.nii.gz").read_bytes() == Path(file).read_bytes()
    for name, status, message in (("../c", 400, "is not a file name"), ("a", 409, "already exists")):
        with pytest.raises(RequestError, match=message) as error:
            store.add_image(name, file, {})
        assert get_status(error) == status
    other = Path(file).rename(tmp_path / "c.nii.gz")
    assert store.add_image("", str(other), {}) == "c"


def test_a_label_in_another_format_replaces_the_previous_one(tmp_path: Path, store: StudyDatastore) -> None:
    label = Path(tmp_path / "case" / "labels" / "a.nii.gz")
    store.save_label("a", str(label), "final", {})
    first = Path(store.get_label_uri("a", "final"))
    image = SimpleITK.ReadImage(str(label))
    SimpleITK.WriteImage(image, str(tmp_path / "a.nrrd"))
    store.save_label("a", str(tmp_path / "a.nrrd"), "final", {})
    assert Path(store.get_label_uri("a", "final")).name == "a.nrrd"
    assert not first.exists()
    store.remove_label("a", "final")
    assert not store.get_label_uri("a", "final")
    with pytest.raises(RequestError, match="image 'a' has no label with the tag 'final'") as error:
        store.remove_label("a", "final")
    assert get_status(error) == 404


def test_labels_are_saved_under_plain_tags(tmp_path: Path, store: StudyDatastore) -> None:
    label = str(tmp_path / "case" / "labels" / "a.nii.gz")
    with pytest.raises(RequestError, match="no image has a final label") as error:
        store.get_dataset_archive(None)
    assert get_status(error) == 404
    assert store.save_label("a", label, "final", {}) == "a"
    with zipfile.ZipFile(store.get_dataset_archive(None)) as archive:
        assert {"image/a.nii.gz", "label/a.nii.gz"} < set(archive.namelist())
    with pytest.raises(RequestError, match=r"params: must be a JSON object, got \[1\]"):
        store.save_label("a", label, "final", [1])
    for image, tag, status in (("a", "../x", 400), ("b", "final", 404)):
        with pytest.raises(RequestError) as error:
            store.save_label(image, label, tag, {})
        assert get_status(error) == status
    assert not (tmp_path / "studies" / "x").exists()


def test_upstream_still_makes_paths_of_any_name(tmp_path: Path) -> None:
    from monailabel.datastore.local import LocalDatastore

    (tmp_path / "studies").mkdir()
    (tmp_path / "x.nii.gz").touch()
    LocalDatastore(str(tmp_path / "studies")).add_image("../evil", str(tmp_path / "x.nii.gz"), {})
    assert (tmp_path / "evil.nii.gz").exists()
