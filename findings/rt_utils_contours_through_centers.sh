#!/usr/bin/env bash
# rt-utils 1.2.7: the contours of an RT Structure Set run through the centers of the outer pixels of a mask.
#
# A program that fills the contour by area, as treatment planning does, gets a structure that is half a pixel smaller on
# every side; a structure of one pixel has no area at all.
#
# Seen with rt-utils 1.2.7, pydicom 2.4.4 (pixels of 1 x 1 mm):
#     mask of 10 x 10 pixels, 100 mm2: contour of 81 mm2
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet rt-utils==1.2.7 pydicom==2.4.4 numpy==1.26.4 opencv-python-headless==4.10.0.84
mkdir "$folder/series"
"$folder/venv/bin/python" -W ignore - "$folder/series" <<'PYTHON'
import sys
from pathlib import Path

import numpy as np
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from rt_utils import RTStructBuilder

folder = Path(sys.argv[1])
study, series, frame = generate_uid(), generate_uid(), generate_uid()
for number in range(3):
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    image.SOPClassUID, image.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    image.StudyInstanceUID, image.SeriesInstanceUID, image.FrameOfReferenceUID = study, series, frame
    image.Modality, image.PatientID, image.PatientName, image.PatientBirthDate, image.PatientSex = "MR", "1", "A", "", ""
    image.StudyDate, image.StudyTime, image.StudyID, image.AccessionNumber = "20200101", "000000", "1", ""
    image.ReferringPhysicianName, image.SeriesNumber, image.InstanceNumber = "", 1, number + 1
    image.ImagePositionPatient, image.ImageOrientationPatient = [0, 0, number], [1, 0, 0, 0, 1, 0]
    image.PixelSpacing, image.SliceThickness, image.SpacingBetweenSlices = [1, 1], 1, 1
    image.Rows = image.Columns = 32
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 16, 15, 0
    image.PixelData = np.zeros((32, 32), np.uint16).tobytes()
    image.is_little_endian, image.is_implicit_VR = True, False
    image.save_as(folder / f"{number}.dcm", write_like_original=False)

mask = np.zeros((32, 32, 3), dtype=bool)
mask[8:18, 8:18, 1] = True
structures = RTStructBuilder.create_new(dicom_series_path=str(folder))
structures.add_roi(mask=mask, name="square")
points = structures.ds.ROIContourSequence[0].ContourSequence[0].ContourData
x, y = np.array(points, dtype=float).reshape(-1, 3)[:, :2].T
area = abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2
print(f"mask of 10 x 10 pixels, 100 mm2: contour of {area:g} mm2")
assert area == 81, "the behavior has changed"
PYTHON
