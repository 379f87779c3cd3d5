"""Small DICOM series for tests, written with pydicom."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, generate_uid

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
