"""The shortcut to the SeriesInstanceUID answers as pydicom does, or says that it does not know."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from helpers.dicom_files import change, write_series
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
)

from bundle.io.dicom_series_uid import read_series_uid


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (found,) = write_series(tmp_path / "a", np.zeros((4, 4, 1), np.int16)).iterdir()
    return found


def referenced() -> Sequence:
    """A sequence that names another series before that of the file."""
    item = Dataset()
    item.SeriesInstanceUID = "1.2.3.4.5"
    return Sequence([item])


def save_as(file: Path, syntax: UID) -> None:
    item = pydicom.dcmread(file)
    item.file_meta.TransferSyntaxUID = syntax
    little = syntax != ExplicitVRBigEndian
    pydicom.dcmwrite(
        file, item, implicit_vr=syntax == ImplicitVRLittleEndian, little_endian=little, enforce_file_format=False
    )


def test_it_is_that_of_the_file_and_not_of_one_that_the_file_refers_to(file: Path) -> None:
    change(file, ReferencedSeriesSequence=referenced(), LongCodeValue="x" * 999)
    assert read_series_uid(file) == pydicom.dcmread(file).SeriesInstanceUID != "1.2.3.4.5"


def test_compressed_files_are_encoded_alike(file: Path) -> None:
    expected = pydicom.dcmread(file).SeriesInstanceUID
    content = file.read_bytes()
    uid, other = str(ExplicitVRLittleEndian).encode(), str(JPEG2000Lossless).encode()
    file.write_bytes(content.replace(uid + b"\0", other[: len(uid)] + b"\0", 1))
    assert read_series_uid(file) == expected


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian])
def test_other_encodings_are_left_to_pydicom(syntax: UID, file: Path) -> None:
    save_as(file, syntax)
    assert read_series_uid(file) == ""


@pytest.mark.parametrize(
    "attributes",
    [{"SeriesInstanceUID": None}, {"LongCodeValue": "x" * 20_000}],
)
def test_what_cannot_be_walked_over_is_left_to_pydicom(attributes: dict[str, Any], file: Path) -> None:
    change(file, **attributes)
    assert read_series_uid(file) == ""


def test_a_sequence_of_undefined_length_is_left_to_pydicom(file: Path) -> None:
    item = pydicom.dcmread(file)
    item.ReferencedSeriesSequence = referenced()
    item["ReferencedSeriesSequence"].is_undefined_length = True
    item.save_as(file)
    assert read_series_uid(file) == ""


def test_a_file_without_its_encoding_is_left_to_pydicom(file: Path) -> None:
    item = pydicom.dcmread(file)
    del item.file_meta.TransferSyntaxUID
    pydicom.dcmwrite(file, item, implicit_vr=False, little_endian=True, enforce_file_format=False)
    assert read_series_uid(file) == ""


def test_damaged_and_missing_files_are_left_to_pydicom(file: Path) -> None:
    content = file.read_bytes()
    uid = pydicom.dcmread(file).SeriesInstanceUID
    place = content.index(uid.encode())
    for length in itertools.chain(range(130, place, 37), [place, place + 5]):
        file.write_bytes(content[:length])
        assert read_series_uid(file) == ""
    file.write_bytes(content[:place] + b"\xff" + content[place + 1 :])
    assert read_series_uid(file) == ""
    file.write_bytes(b"text")
    assert read_series_uid(file) == ""
    assert read_series_uid(file.with_name("none")) == ""
