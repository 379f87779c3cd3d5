"""Enhanced DICOM objects are read as the volume that their frames are, or refused and split by volume."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from helpers.dicom_files import dataset, write_frames, write_object, write_series, zipped
from helpers.phantoms import noise, rotation
from pydicom.uid import RLELossless

from bundle.io import LoadVolumed, split_frames
from bundle.io.dicom import open_series, read_series
from bundle.io.input_checks import MissingGeometryError, SeriesError
from bundle.io.output_formats import OutputFormatError

VOXELS = noise((5, 7, 6), dtype=np.int16)
OBLIQUE = rotation(20, -10, 35) @ np.diag([0.8, 1.2, 2.5, 1])
OBLIQUE[:3, 3] = 11, -7, 5
RESCALED: dict[str, Any] = {
    "PixelValueTransformationSequence": {"RescaleSlope": lambda index: index + 2, "RescaleIntercept": -7}
}
ECHOES = [
    {"MREchoSequence": {"EffectiveEchoTime": echo}, **RESCALED, "FrameContentSequence": {"StackID": "1"}}
    for echo in (4.6, 9.2)
]
STACKS = [{"FrameContentSequence": {"StackID": stack, "InStackPositionNumber": lambda i: i + 1}} for stack in "12"]
TYPE = {"MRImageFrameTypeSequence": {"FrameType": ["ORIGINAL", "PRIMARY", "M", "NONE"]}}


def on_grid(image: Any, affine: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return the voxels of an image in the order of the voxels of ``affine``."""
    index = np.stack([*np.indices(shape).reshape(3, -1), np.ones(np.prod(shape))])
    moved = (np.linalg.inv(np.asarray(image.affine)) @ affine @ index)[:3]
    np.testing.assert_allclose(moved, moved.round(), atol=1e-4)
    return image.numpy()[(0, *moved.round().astype(int))].reshape(shape)


def rescaled(voxels: np.ndarray) -> np.ndarray:
    return voxels * np.arange(2, 2 + voxels.shape[2]) - 7


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "archive"])
def test_frames_of_one_volume_have_their_own_positions_and_rescaling(packed: bool, tmp_path: Path) -> None:
    source = write_frames(tmp_path / "a" / "b.dcm", [VOXELS], [OBLIQUE], [{**ECHOES[0], **TYPE}]).parent
    source = zipped(source, tmp_path / "a.zip") if packed else source
    image = LoadVolumed("image")({"image": str(source)})["image"]
    assert image.shape == (1, 5, 7, 6)
    np.testing.assert_array_equal(on_grid(image, OBLIQUE, VOXELS.shape), rescaled(VOXELS))


def test_without_a_rescaling_the_stored_values_are_read(tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "a" / "b.dcm", [VOXELS], [np.eye(4)], [{}]).parent
    image = read_series(open_series(folder))
    np.testing.assert_array_equal(on_grid(image, np.eye(4), VOXELS.shape), VOXELS)


def test_a_volume_may_be_files_of_one_frame(tmp_path: Path) -> None:
    for index in range(6):
        affine = OBLIQUE.copy()
        affine[:3, 3] += index * OBLIQUE[:3, 2]
        path = tmp_path / "a" / f"{index}.dcm"
        write_frames(path, [VOXELS[..., [index]]], [affine], [ECHOES[0]], SeriesInstanceUID="1.2.3")
    image = read_series(open_series(tmp_path / "a"))
    np.testing.assert_array_equal(on_grid(image, OBLIQUE, VOXELS.shape), VOXELS * 2 - 7)


KINDS: dict[str, list[dict[str, Any]]] = {
    "2 echoes": ECHOES,
    "2 stacks": STACKS,
    "2 stacks and 2 echoes": [{**ECHOES[0], **STACKS[0]}, {**ECHOES[1], **STACKS[1]}],
    "2 b-values": [{"MRDiffusionSequence": {"DiffusionBValue": value}} for value in (0, 1000)],
    "2 gradient directions": [
        {"MRDiffusionSequence": {"DiffusionGradientDirectionSequence": [dataset(DiffusionGradientOrientation=value)]}}
        for value in ([1, 0, 0], [0, 1, 0])
    ],
    "2 time points": [{"FrameContentSequence": {"TemporalPositionIndex": value}} for value in (1, 2)],
    "2 frame types": [TYPE, {"MRImageFrameTypeSequence": {"FrameType": ["ORIGINAL", "PRIMARY", "P", "NONE"]}}],
}


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("files", [1, 2])
def test_several_volumes_are_refused_and_read_after_the_remedy(
    files: int, name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    second = OBLIQUE.copy()
    second[:3, 3] += 6 * OBLIQUE[:3, 2] * ("stacks" in name)
    volumes, affines = [VOXELS, VOXELS[..., ::-1]], [OBLIQUE, second]
    for number in range(files):
        part = slice(3 * number, 3 * number + 3) if files > 1 else slice(None)
        shift = np.eye(4)
        shift[2, 3] = 3 * number
        parts = [volume[..., part] for volume in volumes]
        places = [affine @ shift for affine in affines]
        write_frames(tmp_path / "a" / f"{number}.dcm", parts, places, KINDS[name], SeriesInstanceUID="1.2.3")
    words = (
        rf"its frames are of {name}, which are several volumes; split it by bundle\.io\.split_frames\(input, output_d"
    )
    with pytest.raises(SeriesError, match=words):
        open_series(tmp_path / "a")
    with caplog.at_level(logging.INFO, "bundle"):
        folders = split_frames(tmp_path / "a" / "0.dcm" if files == 1 else tmp_path / "a", tmp_path / "out")
    assert [folder.name for folder in folders] == ["volume1", "volume2"]
    assert name.split()[-1] in caplog.text
    found = [read_series(open_series(folder)) for folder in folders]
    uids = {pydicom.dcmread(path).SeriesInstanceUID for path in tmp_path.glob("out/*/*.dcm")}
    assert len(uids) == 2
    if "PixelValueTransformationSequence" not in KINDS[name][0]:
        sums = sorted(float((image.numpy() * np.arange(1, 7)).sum()) for image in found)
        assert sums == sorted(float((volume * np.arange(1, 7)).sum()) for volume in volumes)
    else:
        assert files > 1 or sorted(image.sum().item() for image in found) == sorted(
            float(rescaled(volume).sum()) for volume in volumes
        )


def test_frames_at_the_same_place_are_refused(tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "a" / "b.dcm", [VOXELS, VOXELS], [np.eye(4)] * 2, [{}, {}]).parent
    with pytest.raises(SeriesError, match=r"b\.dcm, frame \d+, and b\.dcm, frame \d+, lie at the same place"):
        open_series(folder)
    assert len(split_frames(folder, tmp_path / "out")) == 1


def test_frames_without_positions_are_refused(tmp_path: Path) -> None:
    groups = {"PlanePositionSequence": {}}
    folder = write_frames(tmp_path / "a" / "b.dcm", [VOXELS], [np.eye(4)], [groups]).parent
    with pytest.raises(MissingGeometryError, match=r"its file b\.dcm, frame 1, has no ImagePositionPatient"):
        open_series(folder)


def test_dicom_objects_cannot_refer_to_frames(tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "a" / "b.dcm", [VOXELS], [np.eye(4)], [{}]).parent
    with pytest.raises(OutputFormatError, match="its slices are frames of one file, so that output_format dicom_seg"):
        LoadVolumed("image", output_format="dicom_seg")({"image": str(folder)})


def test_compressed_frames_are_read_and_split(tmp_path: Path) -> None:
    path = write_frames(tmp_path / "a" / "b.dcm", [VOXELS, VOXELS[::-1]], [np.eye(4)] * 2, ECHOES)
    item = pydicom.dcmread(path)
    item.compress(RLELossless, generate_instance_uid=False)
    item.save_as(path)
    folders = split_frames(tmp_path / "a", tmp_path / "out")
    found = [on_grid(read_series(open_series(folder)), np.eye(4), VOXELS.shape) for folder in folders]
    echoes = [pydicom.dcmread(folder / "b.dcm").PerFrameFunctionalGroupsSequence[0] for folder in folders]
    order = np.argsort([group.MREchoSequence[0].EffectiveEchoTime for group in echoes])
    np.testing.assert_array_equal(found[order[0]], rescaled(VOXELS))
    np.testing.assert_array_equal(found[order[1]], rescaled(VOXELS[::-1]))


def test_there_must_be_frames_to_split(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "a", VOXELS)
    write_object(folder / "z.dcm", "1.2.840.10008.5.1.4.1.1.66.4", "SEG", NumberOfFrames=3, Rows=5)
    with pytest.raises(SeriesError, match="has no image with frames"):
        split_frames(folder, tmp_path / "out")
