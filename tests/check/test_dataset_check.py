"""The doctor as a whole: planted faults, clean datasets, the command."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from helpers.phantoms import write_nifti
from PIL import Image

from bundle.check import check_dataset
from bundle.cli import main as commands
from bundle.phantoms.spine.spine_phantom import write_spine_phantoms


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the logging of the test run alone."""
    monkeypatch.setattr(commands.logging, "basicConfig", lambda **_: None)


def voxels(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(100, 20, (16, 16, 16)).astype(np.float32)


def label(*values: int) -> np.ndarray:
    array = np.zeros((16, 16, 16), np.uint8)
    for place, value in enumerate(values):
        array[4:9, 4:9, 4 * place + 2 : 4 * place + 5] = value
    return array


def write_volumes(root: Path, count: int) -> dict[str, list[dict[str, str]]]:
    """Write clean volumes and their datalist; the last two are the test set."""
    for index in range(count):
        write_nifti(root / f"i/{index}.nii.gz", voxels(index))
        write_nifti(root / f"l/{index}.nii.gz", label(1, 2))
    items = [
        {"image": f"i/{index}.nii.gz", "label": f"l/{index}.nii.gz", "patient": f"p{index}"} for index in range(count)
    ]
    content = {"labels": {"0": "background", "1": "a", "2": "b"}, "training": items[:-2], "test": items[-2:]}
    (root / "dataset.json").write_text(json.dumps(content))
    return content


def write_images(root: Path, count: int, size: int = 40) -> None:
    rng = np.random.default_rng(0)
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    for index in range(count):
        Image.fromarray(rng.integers(0, 256, (size, size + 8, 3), dtype=np.uint8)).save(root / f"images/{index}.png")
        mask = np.zeros((size, size + 8), np.uint8)
        mask[10:20, 10:30] = 255
        Image.fromarray(mask).save(root / f"masks/{index}.png")


def kinds(content: dict) -> list[tuple[str, tuple[str, ...]]]:
    return sorted((fault["kind"], tuple(fault["items"])) for fault in content["faults"])


def test_twelve_planted_faults_are_found_and_nothing_else(tmp_path: Path) -> None:
    content = write_volumes(tmp_path, 16)
    image, labels = (lambda index: tmp_path / f"i/{index}.nii.gz"), (lambda index: tmp_path / f"l/{index}.nii.gz")
    sheared = np.eye(4)
    sheared[0, 1] = 0.3
    bad = voxels(3)
    bad[0, 0, 0] = np.nan
    image(0).write_bytes(image(0).read_bytes()[:4000])
    write_nifti(image(1), voxels(1), sform_code=0, qform_code=0)
    write_nifti(image(2), voxels(2), sheared, qform_code=0)
    write_nifti(image(3), bad)
    write_nifti(image(4), np.full((16, 16, 16), 7, np.int16))
    write_nifti(labels(5), label(1, 2, 9))
    write_nifti(labels(6), label())
    write_nifti(labels(7), label(1, 2), np.diag([1, 1, 2, 1]))
    write_nifti(image(8), voxels(8), np.diag([0.001, 0.001, 0.001, 1]))
    write_nifti(labels(8), label(1, 2), np.diag([0.001, 0.001, 0.001, 1]))
    write_nifti(image(10), voxels(9))
    write_nifti(image(14), 2 * voxels(11) + np.random.default_rng(0).normal(0, 4, (16, 16, 16)).astype(np.float32))
    content["test"][1]["patient"] = "p12"
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    found = check_dataset(tmp_path, workers=2)
    name = "i/{}.nii.gz".format
    assert kinds(found) == sorted(
        [
            ("unreadable file", (name(0),)),
            ("missing geometry", (name(1),)),
            ("affine", (name(2),)),
            ("non finite voxels", (name(3),)),
            ("empty image", (name(4),)),
            ("label values", (name(5),)),
            ("empty label", (name(6),)),
            ("grid mismatch", (name(7),)),
            ("spacing", (name(8),)),
            ("duplicate", (name(9), name(10))),
            ("leak", (name(11), name(14))),
            ("patient leak", (name(12), name(15))),
        ]
    )
    assert found["remarks"] == []
    assert found["statistics"]["splits"] == {"test": 2, "training": 14}


def test_clean_volumes_have_no_fault(tmp_path: Path) -> None:
    write_volumes(tmp_path, 4)
    found = check_dataset(tmp_path)
    assert (found["faults"], found["remarks"]) == ([], [])
    assert found["statistics"]["classes"]["2"]["name"] == "b"
    assert found["statistics"]["classes"]["1"]["volume_ml"]["median"] == pytest.approx(75 / 1000)


def test_clean_images_have_no_fault_and_the_command_ends_well(tmp_path: Path) -> None:
    write_images(tmp_path / "data", 4)
    assert commands.main(["check", str(tmp_path / "data"), "--output_dir", str(tmp_path / "out")]) == 0
    found = json.loads((tmp_path / "out/check.json").read_text())
    assert found["faults"] == []
    assert found["command"].startswith("python -m bundle check")
    assert found["statistics"]["classes"]["1"]["share"] == pytest.approx(200 / (40 * 48))
    assert (tmp_path / "out/check.html").read_text().count("data:image/jpeg") == 4


def test_clean_phantoms_of_the_spine_have_no_fault(tmp_path: Path) -> None:
    write_spine_phantoms(tmp_path, count=2, seed=1, folds=2)
    found = check_dataset(tmp_path)
    assert found["faults"] == []
    assert sum(found["statistics"]["discs"].values()) > 4


def test_faults_of_a_folder_end_the_command_with_2(tmp_path: Path) -> None:
    write_images(tmp_path, 3)
    (tmp_path / "masks/1.png").rename(tmp_path / "masks/orphan.png")
    with pytest.raises(SystemExit) as end:
        commands.main(["check", str(tmp_path), "--label_names", '{"a": 1, "c": 2}', "--workers", "1"])
    assert end.value.code == 2
    found = check_dataset(tmp_path, label_names={"a": 1, "c": 2})
    assert kinds(found) == [("absent class", ()), ("missing label", ("images/1.png",)), ("orphan label", ())]


@pytest.mark.real_data
def test_the_hippocampi_have_no_fault(shared_data: Path) -> None:
    found = check_dataset(shared_data / "volumes" / "hippocampus", label_names={"anterior": 1, "posterior": 2})
    assert (found["faults"], found["remarks"]) == ([], [])
    assert nib.aff2axcodes(np.eye(4)) == tuple(next(iter(found["statistics"]["orientation"])))


def test_ignored_voxels_are_shown_but_are_no_class_that_can_be_absent(tmp_path: Path) -> None:
    content = write_volumes(tmp_path, 4)
    content["labels"]["3"] = "ignore"
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    assert check_dataset(tmp_path)["faults"] == []
    write_nifti(tmp_path / "l/1.nii.gz", label(1, 3))
    found = check_dataset(tmp_path)
    assert found["faults"] == []
    assert found["statistics"]["classes"]["3"]["name"] == "ignore"
    write_nifti(tmp_path / "l/1.nii.gz", label(3))
    assert kinds(check_dataset(tmp_path)) == [("empty label", ("i/1.nii.gz",))]


def test_ignored_voxels_may_be_named_by_a_table(tmp_path: Path) -> None:
    content = write_volumes(tmp_path, 4)
    write_nifti(tmp_path / "l/1.nii.gz", label(1, 9))
    content["label_values"] = {"a": [1], "b": [2], "ignore": [9]}
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    found = check_dataset(tmp_path)
    assert found["faults"] == []
    assert found["statistics"]["classes"]["-1"]["name"] == "ignore"


def test_ignore_that_is_not_the_highest_value_is_a_fault(tmp_path: Path) -> None:
    content = write_volumes(tmp_path, 4)
    content["labels"] = {"0": "background", "1": "ignore", "2": "b"}
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    assert kinds(check_dataset(tmp_path)) == [("ignore label", ())]
