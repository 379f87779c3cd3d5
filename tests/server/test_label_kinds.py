"""An image has a label of each kind per tag."""

from __future__ import annotations

import json
import logging
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 - its usual name
from helpers.phantoms import write_case
from PIL import Image

from bundle.server.datastore import StudyDatastore
from bundle.server.label_kinds import CLASSES, LABEL_MAP, MARKUPS, find_kind, join_tag, split_tag
from bundle.server.label_tasks import IMAGE, TASKS, VOLUME
from bundle.server.server_errors import RequestError
from bundle.tasks.spine.discs import Disc, write_markups

BY_NAME = {task.name: task for task in TASKS}


def save_image(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    file = tmp_path / "c.classes.json"
    file.write_text('{"classes": {"melanoma": 1, "seborrheic_keratosis": 0}}')
    return file


@pytest.fixture
def mask(tmp_path: Path) -> Path:
    return save_image(tmp_path / "m.png", np.eye(4, 6, dtype=np.uint8) * 255)


@pytest.fixture
def store(tmp_path: Path) -> StudyDatastore:
    """2D images p and q."""
    for name in "pq":
        save_image(tmp_path / "studies" / f"{name}.jpg", np.random.default_rng(0).integers(0, 255, (4, 6, 3), np.uint8))
    return StudyDatastore(str(tmp_path / "studies"), IMAGE)


def files_of(store: StudyDatastore, tag: str = "final") -> list[str]:
    return sorted(file.name for file in Path(store._datastore.label_path(tag)).iterdir())


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.PNG", LABEL_MAP), ("a.nii.gz", LABEL_MAP), ("A.MRK.JSON", MARKUPS), (".classes.json", CLASSES)],
)
def test_the_extension_determines_the_kind(name: str, kind: str) -> None:
    assert find_kind(name) == kind


def test_a_tag_may_name_a_kind() -> None:
    assert split_tag("v1.2") == ("v1.2", None)
    assert split_tag("final.label_map") == ("final", LABEL_MAP)
    assert [join_tag("final", kind) for kind in (LABEL_MAP, MARKUPS)] == ["final", "final.markups"]


@pytest.mark.parametrize("first", ["mask", "classes"])
def test_a_label_of_another_kind_stays(first: str, store: StudyDatastore, mask: Path, classes: Path) -> None:
    for file in (mask, classes) if first == "mask" else (classes, mask):
        assert store.save_label("p", str(file), "final", {"by": file.name}) == "p"
    assert files_of(store) == ["p.classes.json", "p.png"]
    assert store.get_label_info("p", "final")["by"] == "m.png"
    assert store.get_label_info("p", "final.classes")["by"] == "c.classes.json"
    again = StudyDatastore(store._datastore_path, IMAGE)
    for name, file in (("final", "p.png"), ("final.label_map", "p.png"), ("final.classes", "p.classes.json")):
        assert Path(again.get_label_uri("p", name)).name == file


def test_a_label_whose_file_was_deleted_is_not_used(store: StudyDatastore, mask: Path) -> None:
    store.save_label("p", str(mask), "final", {})
    Path(store.get_label_uri("p", "final")).unlink()
    assert store.find_final_label("p", BY_NAME["lesions"]) is None


def test_each_task_sees_its_label(store: StudyDatastore, mask: Path, classes: Path) -> None:
    store.save_label("p", str(mask), "final", {})
    store.save_label("p", str(classes), "final", {})
    store.save_label("q", str(classes), "final", {})
    found = {
        task.name: [case and case.label.name for case in (store.find_final_label(name, task) for name in "pq")]
        for task in TASKS
        if task.kind == IMAGE
    }
    assert found == {
        "lesions": ["p.png", None],
        "lesion_classes": ["p.classes.json", "q.classes.json"],
        "cells": ["p.png", None],
    }


def test_a_label_is_removed_by_its_kind(store: StudyDatastore, mask: Path, classes: Path) -> None:
    for file in (mask, classes):
        store.save_label("p", str(file), "final", {})
    store.remove_label("p", "final.classes")
    assert files_of(store) == ["p.png"]
    store.save_label("p", str(classes), "final.classes", {})
    store.remove_label("p", "final")
    assert files_of(store) == ["p.classes.json"]
    store.remove_image("p")
    assert files_of(store) == []


def test_a_tag_of_another_kind_is_refused(store: StudyDatastore, mask: Path) -> None:
    with pytest.raises(RequestError, match=r"label of p.png: is a label map or mask, the tag 'final.classes' is for a"):
        store.save_label("p", str(mask), "final.classes", {})


def test_images_and_labels_are_counted_once(store: StudyDatastore, mask: Path, classes: Path) -> None:
    for file in (mask, classes):
        store.save_label("p", str(file), "final", {})
    store.save_label("q", str(classes), "final", {})
    assert store.status() == {"total": 2, "completed": 2, "label_tags": {"final": 2}}
    assert (store.get_labeled_images(), store.get_unlabeled_images()) == (["p", "q"], [])
    labels: dict[str, Any] = {name: item["labels"] for name, item in store.json()["objects"].items()}
    assert labels["p"]["final"]["ext"] == ".png"
    assert labels["p"]["final.classes"]["ext"] == labels["q"]["final"]["ext"] == ".classes.json"
    assert [{key: Path(file).name for key, file in item.items()} for item in store.datalist()] == [
        {"image": "p.jpg", "label": "p.png", "classes": "p.classes.json"},
        {"image": "q.jpg", "label": "q.classes.json"},
    ]
    with zipfile.ZipFile(store.get_dataset_archive(None)) as archive:
        names = archive.namelist()
    assert (
        sorted(names)[:5]
        == ["classes/p.classes.json", "image/p.jpg", "image/q.jpg", "label/p.png", "label/q.classes.json"][:5]
    )


def test_files_of_all_kinds_are_found(
    tmp_path: Path, mask: Path, classes: Path, caplog: pytest.LogCaptureFixture
) -> None:
    studies = tmp_path / "studies"
    save_image(studies / "p.jpg", np.zeros((4, 6, 3), np.uint8))
    final = studies / "labels" / "final"
    final.mkdir(parents=True)
    for name in ("p.png", "p.tif", "p.classes.json", "x.png", "p.gif", ".hidden"):
        (final / name).write_bytes((classes if name.endswith("json") else mask).read_bytes())
    with caplog.at_level(logging.WARNING):
        store = StudyDatastore(str(studies), IMAGE)
        store.refresh()
    assert list(store._datastore.objects["p"].labels) == ["final.classes", "final"]
    messages = [record.message.split("/final/")[1] for record in caplog.records if "/final/" in record.message]
    assert messages == [
        "p.gif: is not a label, because of its extension",
        "p.tif: is not used: the label is p.png",
        "x.png: is not used: there is no image 'x'",
    ]


def test_lists_of_earlier_versions_are_read(store: StudyDatastore, classes: Path) -> None:
    store.save_label("p", str(classes), "final", {})
    file = Path(store._datastore_config_path)
    content = json.loads(file.read_text())
    labels = content["objects"]["p"]["labels"]
    labels["final"] = labels.pop("final.classes")
    file.write_text(json.dumps(content))
    again = StudyDatastore(store._datastore_path, IMAGE)
    assert list(again._datastore.objects["p"].labels) == ["final.classes"]


def test_the_tasks_for_volumes_have_separate_labels(tmp_path: Path) -> None:
    case = write_case(tmp_path / "case", "a")
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "a.nii.gz").write_bytes(Path(case["image"]).read_bytes())
    store = StudyDatastore(str(tmp_path / "studies"), VOLUME)
    write_markups([Disc(3, (1.0, 2.0, 3.0))], tmp_path / "d.mrk.json")
    names = [{"name": "anterior", "idx": 1}, {"name": "posterior", "idx": 2}]
    store.save_label("a", case["label"], "final", {"label_info": names})
    assert store.find_final_label("a", BY_NAME["discs"]) is None
    store.save_label("a", str(tmp_path / "d.mrk.json"), "final", {})
    discs, volumes = (store.find_final_label("a", BY_NAME[name]) for name in ("discs", "volumes"))
    assert discs is not None
    assert volumes is not None
    assert (discs.label.name, discs.names) == ("a.mrk.json", {})
    assert (volumes.label.name, volumes.names) == ("a.nii.gz", {1: "anterior", 2: "posterior"})


def test_segmentations_of_slicer_are_found_as_they_are_submitted(tmp_path: Path) -> None:
    case = write_case(tmp_path / "case", "a")
    studies = tmp_path / "studies"
    (studies / "labels" / "final").mkdir(parents=True)
    (studies / "a.nii.gz").write_bytes(Path(case["image"]).read_bytes())
    label = sitk.ReadImage(case["label"])
    for number, name in enumerate(("anterior", "posterior"), start=1):
        label.SetMetaData(f"Segment{number}_Name", name)
        label.SetMetaData(f"Segment{number}_LabelValue", str(number))
    sitk.WriteImage(label, str(studies / "labels" / "final" / "a.seg.nrrd"))
    for _ in range(2):
        store = StudyDatastore(str(studies), VOLUME)
        found = store.find_final_label("a", BY_NAME["volumes"])
        assert found is not None
        assert (found.label.suffix, found.names) == (".nrrd", {1: "anterior", 2: "posterior"})
        sitk.WriteImage(label, str(tmp_path / "l.seg.nrrd"))
        store.save_label("a", str(tmp_path / "l.seg.nrrd"), "final", {})


def test_the_names_of_a_segmentation_of_a_2d_image_are_kept(store: StudyDatastore, tmp_path: Path) -> None:
    label = sitk.GetImageFromArray(np.eye(4, 6, dtype=np.uint8)[None] * 3)
    label.SetMetaData("Segment0_Name", "lesion")
    label.SetMetaData("Segment0_LabelValue", "3")
    sitk.WriteImage(label, str(tmp_path / "l.seg.nrrd"))
    store.save_label("p", str(tmp_path / "l.seg.nrrd"), "final", {})
    found = store.find_final_label("p", BY_NAME["lesions"])
    assert found is not None
    assert (found.label.name, found.names) == ("p.png", {3: "lesion"})
    assert store.find_final_label("p", BY_NAME["cells"]) is None


def test_the_info_of_a_label_is_checked_when_it_changes(tmp_path: Path) -> None:
    case = write_case(tmp_path / "case", "a")
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "a.nii.gz").write_bytes(Path(case["image"]).read_bytes())
    store = StudyDatastore(str(tmp_path / "studies"), VOLUME)
    store.save_label("a", case["label"], "final", {})
    store.update_label_info("a", "final", {"label_info": {"Anterior": 1, "posterior": 2}})
    with pytest.raises(RequestError, match="'liver' is not a structure here"):
        store.update_label_info("a", "final", {"label_info": {"liver": 1, "posterior": 2}})
    with pytest.raises(RequestError, match="has no label with the tag 'draft'"):
        store.update_label_info("a", "draft", {})
