from __future__ import annotations

import json
import multiprocessing
import os
from pathlib import Path
from typing import Any

import pytest
from monailabel.datastore.local import LocalDatastore

from bundle.server.workarounds.shared_datastore import SharedDatastore


@pytest.fixture
def studies(tmp_path: Path) -> Path:
    folder = tmp_path / "studies"
    folder.mkdir()
    for name in "ab":
        (folder / f"{name}.nii.gz").write_bytes(b"")
    return folder


def listed(studies: Path) -> dict[str, Any]:
    return json.loads((studies / "datastore_v2.json").read_text())["objects"]


def labeled(studies: Path, name: str) -> Path:
    file = studies.parent / f"{name}.nii.gz"
    file.write_bytes(b"label")
    return file


def both_write(kind: type[LocalDatastore], studies: Path) -> dict[str, Any]:
    """Change the list in turn with the datastores of two processes; return it."""
    first, second = (kind(str(studies)) for _ in range(2))
    first.save_label("a", str(labeled(studies, "a")), "final", {})
    second.update_image_info("b", {"score": 1})
    return listed(studies)


def test_processes_keep_the_entries_of_each_other(studies: Path) -> None:
    objects = both_write(SharedDatastore, studies)
    assert list(objects["a"]["labels"]) == ["final"]
    assert objects["b"]["image"]["info"]["score"] == 1


def test_monailabel_still_loses_entries(studies: Path) -> None:
    """When this fails, bundle/server/workarounds/shared_datastore.py is no longer needed."""
    assert both_write(LocalDatastore, studies)["a"]["labels"] == {}


def test_a_process_sees_the_changes_of_another(studies: Path) -> None:
    first, second = (SharedDatastore(str(studies)) for _ in range(2))
    first.save_label("a", str(labeled(studies, "a")), "final", {"by": "ann"})
    assert second.get_labeled_images() == ["a"]
    assert second.get_label_info("a", "final")["by"] == "ann"
    second.update_label_info("a", "final", {"by": "bob"})
    assert first.get_label_info("a", "final")["by"] == "bob"
    first.remove_label("a", "final")
    assert second.get_labeled_images() == []


def test_a_removed_label_leaves_the_list_at_once(studies: Path) -> None:
    store = SharedDatastore(str(studies))
    store.save_label("a", str(labeled(studies, "a")), "final", {})
    store._auto_reload = True
    store.remove_label("a", "final")
    assert listed(studies)["a"]["labels"] == {}


def test_processes_see_added_and_removed_images(studies: Path, tmp_path: Path) -> None:
    first, second = (SharedDatastore(str(studies)) for _ in range(2))
    first.add_image("c", str(labeled(studies, "c")), {})
    assert sorted(second.list_images()) == ["a", "b", "c"]
    second.remove_image("a")
    assert sorted(first.list_images()) == ["b", "c"]


def _write(studies: str, name: str, count: int) -> None:
    store = SharedDatastore(studies)
    for number in range(count):
        store.update_image_info(name, {f"key{number}": number})


def test_concurrent_writes_lose_nothing(studies: Path) -> None:
    SharedDatastore(str(studies))
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_write, args=(str(studies), name, 20)) for name in "ab"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    for name in "ab":
        info = listed(studies)[name]["image"]["info"]
        assert [info[f"key{number}"] for number in range(20)] == list(range(20))


def test_the_list_is_replaced_atomically(studies: Path) -> None:
    store = SharedDatastore(str(studies))
    with open(studies / "datastore_v2.json") as reader:
        store.update_image_info("a", {"long": "x" * 10000})
        assert "long" not in json.load(reader)["objects"]["a"]["image"]["info"]
    assert not list(studies.glob(".partial*"))


def test_a_corrupt_list_is_reported(studies: Path) -> None:
    (studies / "datastore_v2.json").write_text('{"objects": ')
    with pytest.raises(ValueError, match=r"datastore_v2\.json: is not a list of MONAI Label; move it away"):
        SharedDatastore(str(studies))


def test_a_missing_list_is_created_again(studies: Path) -> None:
    store = SharedDatastore(str(studies))
    os.remove(studies / "datastore_v2.json")
    assert sorted(store.list_images()) == ["a", "b"]
    store.update_image_info("a", {"score": 1})
    assert listed(studies)["a"]["image"]["info"]["score"] == 1
