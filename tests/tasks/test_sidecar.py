from __future__ import annotations

import json
from pathlib import Path

from bundle import __version__
from bundle.tasks.spine.discs import write_sidecar


def test_the_sidecar_says_space_and_programs(tmp_path: Path) -> None:
    sidecar = write_sidecar(tmp_path / "sub-01_T2w_label-discs_dlabel.nii.gz")
    assert sidecar == tmp_path / "sub-01_T2w_label-discs_dlabel.json"
    assert json.loads(sidecar.read_text()) == {
        "SpatialReference": "orig",
        "GeneratedBy": [{"Name": "keyslice", "Version": __version__}],
    }


def test_programs_before_this_one_are_named_first(tmp_path: Path) -> None:
    sidecar = write_sidecar(tmp_path / "a.nii", generated_by=[{"Name": "dcm2niix", "Version": "1.0"}])
    names = [program["Name"] for program in json.loads(sidecar.read_text())["GeneratedBy"]]
    assert names == ["dcm2niix", "keyslice"]
