"""The SeriesInstanceUID of a DICOM file from its first bytes, for folders of many files.

The elements of a file are read as PS3.5, section 7.1.2, of the DICOM standard defines them: explicit VR, little endian,
in the order of their tags (https://dicom.nema.org/medical/dicom/current/output/chtml/part05/chapter_7.html).
"""

from __future__ import annotations

import struct
from pathlib import Path

BYTES = 16384
"""Bytes of a file that are read."""

MARK = b"DICM"

TRANSFER_SYNTAX, SERIES = (0x0002, 0x0010), (0x0020, 0x000E)
"""Tags."""

OTHER_ENCODINGS = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2")
"""Transfer syntaxes that are not explicit VR, little endian: implicit VR, deflated, and big endian."""

SHORT = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
LONG = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
"""Value representations with lengths of 2 and of 4 bytes."""

UNDEFINED = 0xFFFFFFFF


def read_series_uid(file: Path) -> str:
    """Return the SeriesInstanceUID of a DICOM file.

    This is a shortcut: an empty string means that a complete reader is needed, since the file has another encoding, a
    sequence of undefined length or no such element in its first bytes, or is damaged.
    """
    try:
        with open(file, "rb") as stream:
            data = stream.read(BYTES)
        return _find(data) if data[128:132] == MARK else ""
    except (OSError, struct.error, UnicodeDecodeError):
        return ""


def _find(data: bytes) -> str:
    """Walk over the elements of a file up to the wanted one."""
    place, last, has_syntax = 132, (0, 0), False
    while True:
        group, element, kind = struct.unpack_from("<HH2s", data, place)
        if kind in SHORT:
            (length,), start = struct.unpack_from("<H", data, place + 6), place + 8
        elif kind in LONG:
            (length,), start = struct.unpack_from("<I", data, place + 8), place + 12
        else:
            return ""
        tag, end = (group, element), start + length
        if not last < tag <= SERIES or length == UNDEFINED or end > len(data):
            return ""
        if tag == TRANSFER_SYNTAX:
            has_syntax = _text(data[start:end]) not in OTHER_ENCODINGS
        if group > TRANSFER_SYNTAX[0] and not has_syntax:
            return ""
        if tag == SERIES:
            return _text(data[start:end])
        place, last = end, tag


def _text(value: bytes) -> str:
    return value.decode("ascii").strip("\0 ")
