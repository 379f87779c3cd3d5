"""Items that are volumes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.dicom_files import write_series
from helpers.phantoms import write_nifti

from bundle.check.findings import Reading
from bundle.check.fingerprint import fingerprint
from bundle.check.items import Item
from bundle.check.volume_reader import read_volume
from bundle.io.dicom import open_series
from bundle.io.label_maps import save_label_map

RANGE = (0.1, 10.0)


def voxels(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(8, 9, 10)).astype(np.float32)


def read(
    *images: Path, label: Path | None = None, kind: str = "volumes", names: dict[str, int] | None = None
) -> Reading:
    item = Item("a", tuple(map(str, images)), str(label) if label else None, "training", kind)
    return read_volume(item, spacing_range=RANGE, label_names=names)


def kinds(reading: Reading) -> list[str]:
    return [fault.kind for fault in reading.faults]


def test_a_volume_and_its_label_are_described(tmp_path: Path) -> None:
    label = np.zeros((8, 9, 10), np.uint8)
    label[2:4, 2:5, 3:5] = 2
    affine = np.diag([-1, 1, 2.5, 1])
    image = write_nifti(tmp_path / "a.nii", voxels(), affine)
    reading = read(image, label=write_nifti(tmp_path / "l.nii", label, affine), names={"x": 2})
    assert kinds(reading) == []
    assert (reading.facts["spacing"], reading.facts["orientation"]) == ([1, 1, 2.5], "LAS")
    assert reading.facts["intensity"]["mean"] == pytest.approx(voxels().mean(dtype=np.float64), abs=1e-6)
    assert reading.facts["intensity"]["p99"] == pytest.approx(np.percentile(voxels(), 99), abs=1e-5)
    assert (reading.facts["classes"], reading.facts["volumes_ml"]) == ({"2": 12}, {"2": pytest.approx(0.03)})


def test_all_faults_of_image_and_label_are_reported(tmp_path: Path) -> None:
    label = np.full((8, 9, 10), 0.5, np.float32)
    shifted = np.eye(4)
    shifted[0, 3] = 3
    image = write_nifti(tmp_path / "a.nii", np.zeros((8, 9, 10), np.int16))
    reading = read(image, label=write_nifti(tmp_path / "l.nii", label, shifted))
    assert kinds(reading) == ["empty image", "grid mismatch", "label values"]
    assert [remark.message for remark in reading.remarks] == [f"{tmp_path / 'l.nii'}: holds no background"]
    assert reading.signature is None


@pytest.mark.parametrize("names", [None, {"x": 1}])
def test_a_soft_mask_is_a_fault_and_has_no_structures(names: dict[str, int] | None, tmp_path: Path) -> None:
    soft = np.zeros((8, 9, 10), np.float32)
    soft[2:4, 2:5, 3:5] = 0.9
    image = write_nifti(tmp_path / "a.nii", voxels())
    reading = read(image, label=write_nifti(tmp_path / "l.nii", soft), names=names)
    assert (kinds(reading), reading.facts["classes"]) == (["label values"], {"0.9": 12})
    assert fingerprint([reading], names) == {}


def test_large_label_values_are_the_same_in_all_facts(tmp_path: Path) -> None:
    label = np.zeros((8, 9, 10), np.int32)
    label[2:4, 2:5, 3:5] = 1_234_567
    image = write_nifti(tmp_path / "a.nii", voxels())
    reading = read(image, label=write_nifti(tmp_path / "l.nii", label))
    assert (kinds(reading), reading.facts["classes"]) == ([], {"1234567": 12})
    assert fingerprint([reading])["structures"]["label_1234567"]["volume_ml"] == pytest.approx(0.012)


def test_a_label_is_checked_without_its_image(tmp_path: Path) -> None:
    label = write_nifti(tmp_path / "l.nii", np.zeros((8, 9, 10), np.uint8))
    assert kinds(read(tmp_path / "no.nii", label=label)) == ["unreadable file", "empty label"]
    image = write_nifti(tmp_path / "a.nii", voxels())
    assert kinds(read(image, label=tmp_path / "no.nii")) == ["unreadable file"]
    assert kinds(read(image, label=label)) == ["empty label"]
    assert kinds(read(image)) == []


@pytest.mark.parametrize("dicom_format", ["dicom_seg", "rtstruct"])
def test_a_dicom_object_is_a_label_on_the_grid_of_its_image(dicom_format: str, tmp_path: Path) -> None:
    image = write_series(tmp_path / "a", (voxels() * 100).astype(np.int16))
    label = np.zeros((8, 9, 10), np.uint8)
    label[2:4, 2:5, 3:5] = 2
    options = {"source": image, "affine": open_series(image).affine, "label_names": {"x": 2}}
    save_label_map(label, tmp_path / "l.dcm", dicom_format=dicom_format, **options)
    reading = read(image, label=tmp_path / "l.dcm", names={"x": 2})
    assert (kinds(reading), reading.facts["classes"]) == ([], {"2": 12})
    assert kinds(read(tmp_path / "no.nii", label=tmp_path / "l.dcm")) == ["unreadable file"] * 2


def test_channels_lie_on_one_grid_and_hold_something(tmp_path: Path) -> None:
    first, second = write_nifti(tmp_path / "a.nii", voxels()), write_nifti(tmp_path / "b.nii", voxels(1))
    even = write_nifti(tmp_path / "c.nii", np.full((8, 9, 10), 4, np.int16), np.diag([1, 1, 2, 1]))
    reading = read(first, second)
    assert kinds(reading) == []
    assert reading.digest is not None
    assert kinds(read(first, even)) == ["grid mismatch", "empty image"]
    broken = read(first, tmp_path / "no.nii")
    assert (kinds(broken), broken.digest) == (["unreadable file"], None)


def test_points_are_checked_with_the_image(tmp_path: Path) -> None:
    image, points = write_nifti(tmp_path / "a.nii", voxels()), tmp_path / "p.json"
    points.write_text("{")
    assert kinds(read(image, label=points, kind="discs")) == ["disc file"]
    label = np.zeros((8, 9, 10), np.uint8)
    label[4, 4, 4] = 3
    assert kinds(read(image, label=write_nifti(tmp_path / "p.nii", label), kind="discs")) == []


def test_values_of_a_label_become_classes_by_a_table(tmp_path: Path) -> None:
    label = np.zeros((8, 9, 10), np.uint8)
    label[2:4, 2:5, 3:5], label[5] = 4, 6
    mask, image = write_nifti(tmp_path / "l.nii", label), write_nifti(tmp_path / "a.nii", voxels())
    item = Item("a", (str(image),), str(mask), "training", "volumes")
    options: dict[str, Any] = {"spacing_range": RANGE, "label_names": {"x": 1, "y": 2}}
    reading = read_volume(item, label_values={"y": [4], "x": [6]}, **options)
    assert kinds(reading) == []
    assert reading.facts["classes"] == {"1": 90, "2": 12}
    assert kinds(read_volume(item, label_values={"y": [4], "x": [7]}, **options)) == ["label values"]


def test_channels_are_counted_whether_they_lie_in_one_file_or_in_several(tmp_path: Path) -> None:
    single = write_nifti(tmp_path / "a.nii", voxels())
    both = write_nifti(tmp_path / "b.nii", np.stack([voxels(1), voxels(2)], axis=-1))

    def faults(*images: Path, channels: int) -> list[str]:
        item = Item("a", tuple(map(str, images)), None, "test", "volumes")
        return kinds(read_volume(item, spacing_range=RANGE, channels=channels))

    assert faults(single, channels=1) == faults(both, channels=2) == faults(single, single, channels=2) == []
    assert faults(single, channels=2) == faults(both, channels=3) == faults(single, single, channels=3) == ["channels"]
    assert faults(both, channels=1) == ["dimension"]


def test_the_intensities_inside_of_structures_are_those_of_every_channel(tmp_path: Path) -> None:
    label = np.zeros((8, 9, 10), np.uint8)
    label[2:4, 2:5, 3:5] = 1
    mask = write_nifti(tmp_path / "l.nii", label)
    files = [write_nifti(tmp_path / f"{mean}.nii", voxels() + mean) for mean in (5, 700)]
    reading = read(*files, label=mask)
    assert [round(channel["mean"] / 100) for channel in reading.facts["inside"]] == [0, 7]


def test_a_channel_without_content_is_a_fault_in_a_file_of_all_channels(tmp_path: Path) -> None:
    image = write_nifti(tmp_path / "a.nii", np.stack([voxels(1), np.full((8, 9, 10), 3, np.float32)], axis=-1))
    reading = read_volume(Item("a", (str(image),), None, "test", "volumes"), spacing_range=RANGE, channels=2)
    assert "all voxels of channel 1 have the value 3; export it again" in reading.faults[0].message
