"""Small DICOM series for tests, written with pydicom."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, EnhancedMRImageStorage, ExplicitVRLittleEndian, generate_uid

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def write_series(
    folder: Path,
    voxels: np.ndarray,
    affine: np.ndarray | None = None,
    *,
    slope: float = 1,
    intercept: float = 0,
    shuffle: bool = True,
    ending: str = ".dcm",
    **attributes: Any,
) -> Path:
    """Write ``voxels`` (columns, rows, slices), int16, as CT slices whose numbers say nothing about their order.

    Args:
        folder: folder to write to.
        voxels: stored values.
        affine: from voxels to RAS+ in mm.
        slope: rescale slope.
        intercept: rescale intercept.
        shuffle: name the files in another order than that of their positions.
        ending: ending of the file names.
        attributes: attributes of all slices, of DICOM keywords; None leaves one out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    matrix = LPS @ (np.eye(4) if affine is None else affine)
    spacing = np.linalg.norm(matrix[:3, :3], axis=0)
    uids = {name: generate_uid() for name in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")}
    order = np.random.default_rng(0).permutation(voxels.shape[2]) if shuffle else np.arange(voxels.shape[2])
    for number, index in enumerate(order):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = CTImageStorage, ExplicitVRLittleEndian
        meta.MediaStorageSOPInstanceUID = generate_uid()
        path = folder / f"IM{number:04d}{ending}"
        item = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
        item.SOPClassUID, item.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        item.Modality, item.SeriesDescription, item.PatientID, item.PatientName = "CT", "thorax", "7", "A^B"
        for name, uid in uids.items():
            setattr(item, name, uid)
        item.Rows, item.Columns = voxels.shape[1], voxels.shape[0]
        item.SamplesPerPixel, item.PhotometricInterpretation = 1, "MONOCHROME2"
        item.BitsAllocated = item.BitsStored = 16
        item.HighBit, item.PixelRepresentation = 15, 1
        item.RescaleSlope, item.RescaleIntercept = slope, intercept
        item.PixelSpacing = [float(spacing[1]), float(spacing[0])]
        turn = matrix[:3, :2] / spacing[:2]
        item.ImageOrientationPatient = [round(float(value), 9) for value in turn.T.ravel()]
        place = (matrix @ [0, 0, index, 1])[:3]
        item.ImagePositionPatient = [round(float(value), 6) for value in place]
        item.PixelData = np.ascontiguousarray(voxels[:, :, index].T).astype("<i2").tobytes()
        for name, value in attributes.items():
            if value is None:
                delattr(item, name)
            else:
                setattr(item, name, value)
        item.save_as(path, enforce_file_format=True)
    return folder


def change(path: Path, **attributes: Any) -> None:
    """Change attributes of a DICOM file; None leaves one out."""
    item = pydicom.dcmread(path)
    for name, value in attributes.items():
        if value is None:
            delattr(item, name)
        else:
            setattr(item, name, value)
    item.save_as(path)


def zipped(folder: Path, target: Path) -> Path:
    """Pack the files of a folder into an archive, in a folder of their own as exports have it."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("study/", "")
        archive.writestr("study/README.txt", "no image")
        archive.writestr("study/._IM0000.dcm", "of macOS")
        for path in sorted(folder.iterdir()):
            archive.write(path, f"study/{path.name}")
    return target


def write_object(path: Path, sop_class: str, modality: str, **attributes: Any) -> Path:
    """Write a DICOM object of any class, without pixels unless the attributes say so, as a series of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = UID(sop_class), ExplicitVRLittleEndian
    meta.MediaStorageSOPInstanceUID = generate_uid()
    item = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    item.SOPClassUID, item.SOPInstanceUID, item.Modality = UID(sop_class), meta.MediaStorageSOPInstanceUID, modality
    item.SeriesInstanceUID = generate_uid()
    for name, value in attributes.items():
        setattr(item, name, value)
    item.save_as(path, enforce_file_format=True)
    return path


def write_frames(
    path: Path,
    volumes: Sequence[np.ndarray],
    affines: Sequence[np.ndarray],
    groups: Sequence[dict[str, Any]],
    **attributes: Any,
) -> Path:
    """Write volumes (columns, rows, slices), int16, as frames of one enhanced MR object, in a random order.

    Args:
        path: file to write.
        volumes: stored values of every volume.
        affines: from voxels to RAS+ in mm, of every volume.
        groups: functional groups of the frames of every volume, as attributes by the keyword of the sequence; a value
            may be a function of the index of the slice.
        attributes: attributes of the object, of DICOM keywords.
    """
    frames = [(number, index) for number, volume in enumerate(volumes) for index in range(volume.shape[2])]
    frames = [frames[place] for place in np.random.default_rng(0).permutation(len(frames))]
    spacing = np.linalg.norm(affines[0][:3, :3], axis=0)
    shared, items, pixels = Dataset(), [], []
    shared.PixelMeasuresSequence = [dataset(PixelSpacing=[float(spacing[1]), float(spacing[0])])]
    for number, index in frames:
        matrix = LPS @ affines[number]
        turn = (matrix[:3, :2] / np.linalg.norm(matrix[:3, :2], axis=0)).T.ravel()
        frame = Dataset()
        frame.PlaneOrientationSequence = [dataset(ImageOrientationPatient=[round(float(value), 9) for value in turn])]
        place = [round(float(value), 6) for value in (matrix @ [0, 0, index, 1])[:3]]
        frame.PlanePositionSequence = [dataset(ImagePositionPatient=place)]
        for sequence, values in groups[number].items():
            found = {name: value(index) if callable(value) else value for name, value in values.items()}
            setattr(frame, sequence, [dataset(**found)])
        items.append(frame)
        pixels.append(np.ascontiguousarray(volumes[number][:, :, index].T).astype("<i2").tobytes())
    content = {
        **{"Rows": volumes[0].shape[1], "Columns": volumes[0].shape[0], "NumberOfFrames": len(frames)},
        **{"SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2", "BitsAllocated": 16, "BitsStored": 16},
        **{"HighBit": 15, "PixelRepresentation": 1, "PixelData": b"".join(pixels), "StudyInstanceUID": generate_uid()},
        **{"SharedFunctionalGroupsSequence": [shared], "PerFrameFunctionalGroupsSequence": items, **attributes},
    }
    return write_object(path, EnhancedMRImageStorage, "MR", **content)


def dataset(**attributes: Any) -> Dataset:
    """Return a DICOM data set with some attributes."""
    item = Dataset()
    for name, value in attributes.items():
        setattr(item, name, value)
    return item
