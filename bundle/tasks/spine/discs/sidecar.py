"""The JSON sidecar that BIDS asks for beside a derived label map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from bundle import __version__
from bundle.io.volume_files import stem_of
from bundle.utils.write_json import write_json


def write_sidecar(label_map: str | Path, *, generated_by: Sequence[Mapping[str, str]] = ()) -> Path:
    """Write the sidecar of a label map that lies in the space of its image.

    Args:
        label_map: ``.nii.gz`` or ``.nii`` file; the sidecar has its name with the ending ``.json``.
        generated_by: further programs that had part in it, before this one, as ``{"Name": ..., "Version": ...}``.

    Returns:
        Path of the sidecar.
    """
    label_map = Path(label_map)
    sidecar = label_map.with_name(f"{stem_of(label_map)}.json")
    programs = [*map(dict, generated_by), {"Name": "keyslice", "Version": __version__}]
    write_json(sidecar, {"SpatialReference": "orig", "GeneratedBy": programs})
    return sidecar
