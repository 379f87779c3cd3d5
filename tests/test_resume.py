"""DoneCases finds whole results of the same settings from the same input, and says why others are made again."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from dicom_files import write_series
from monai.data import MetaTensor
from monai.transforms import Compose, ScaleIntensityd
from phantoms import ball, noise, write_nifti

from bundle.datasets import CaseDataset, collate_cases
from bundle.resume import DoneCases, describe
from bundle.transforms import LoadVolumed, SaveCased, Standardized

NAMES = {"lower": 1, "upper": 2}


@pytest.fixture
def case(tmp_path: Path) -> dict[str, str]:
    return {"case": "a", "image": str(write_nifti(tmp_path / "in" / "a.nii.gz", noise((12, 12, 12))))}


def run(case: dict[str, str], out: Path, **options: Any) -> dict[str, Any]:
    """Make the result of a case, and return the item that the dataset gave."""
    done = DoneCases(out, **options)
    dataset = CaseDataset([case], Compose([LoadVolumed("image")]), done=done)
    item = collate_cases([dataset[0]])
    if "image" in item:
        data = {"image": item["image"][0], "case": "a", "made_from": item["made_from"][0]}
        data["pred"] = MetaTensor(torch.as_tensor(ball())[None], meta=dataset[0]["image"].meta)
        data["image"] = dataset[0]["image"]
        SaveCased("pred", label_names=NAMES, output_dir=out)(data)
    return item


def test_a_result_is_made_once(case: dict[str, str], tmp_path: Path) -> None:
    assert "image" in run(case, tmp_path / "out", enabled=True)
    record = json.loads((tmp_path / "out" / "a.json").read_text())
    assert run(case, tmp_path / "out", enabled="True") == {"done_earlier": {**record, "done_earlier": True}}
    assert "image" in run(case, tmp_path / "out")


def spoil_map(folder: Path) -> None:
    path = folder / "out" / "a_seg.nii.gz"
    path.write_bytes(path.read_bytes()[:-5])


def touch_input(folder: Path) -> None:
    os.utime(folder / "in" / "a.nii.gz", ns=(1, 1))


def cut_json(folder: Path) -> None:
    path = folder / "out" / "a.json"
    path.write_text(path.read_text()[:-9])


def earlier_version(folder: Path) -> None:
    path = folder / "out" / "a.json"
    record = json.loads(path.read_text())
    del record["made_from"]
    path.write_text(json.dumps(record))


def no_files(folder: Path) -> None:
    path = folder / "out" / "a.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "files": {}}))


@pytest.mark.parametrize(
    ("spoil", "options", "words"),
    [
        (spoil_map, {}, "a_seg.nii.gz is missing or damaged"),
        (lambda folder: (folder / "out" / "a_seg.nii.gz").unlink(), {}, "a_seg.nii.gz is missing or damaged"),
        (touch_input, {}, "a.nii.gz has changed"),
        (cut_json, {}, "does not tell what it was made from"),
        (lambda folder: (folder / "out" / "a.json").write_text("[]"), {}, "does not tell what it was made from"),
        (earlier_version, {}, "does not tell what it was made from"),
        (no_files, {}, "does not tell what it was made from"),
        (lambda folder: None, {"parts": [{"overlap": 0.5}]}, "was made by other settings"),
        (lambda folder: (folder / "model.pt").write_bytes(b"new"), {}, "was made by other settings"),
    ],
    ids=["cut", "gone", "input", "json", "no record", "earlier", "no files", "settings", "weights"],
)
def test_a_stale_result_is_made_again_and_this_is_said(
    spoil: Any, options: dict, words: str, case: dict, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    weights = tmp_path / "model.pt"
    weights.write_bytes(b"old")
    run(case, tmp_path / "out", enabled=True, checkpoint=weights)
    spoil(tmp_path)
    item = run(case, tmp_path / "out", **{"enabled": True, "checkpoint": weights, **options})
    assert "image" in item
    assert words in caplog.text
    assert "made again, since" in caplog.text


def test_a_label_map_without_json_is_no_result(case: dict, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run(case, tmp_path / "out", enabled=True)
    (tmp_path / "out" / "a.json").unlink()
    assert "image" in run(case, tmp_path / "out", enabled=True)
    assert caplog.text == ""


def test_a_series_and_a_header_with_voxels_apart_change_with_any_of_their_files(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "series", noise((4, 4, 3), dtype=np.int16))
    for name in ("a.mhd", "a.raw"):
        (tmp_path / name).touch()
    done = DoneCases(tmp_path)
    for source, part in ((folder, folder / "IM0001.dcm"), (tmp_path / "a.mhd", tmp_path / "a.raw")):
        before = done.stamp(source)
        assert done.stamp(source) == before
        os.utime(part, ns=(5, 5))
        assert done.stamp(source) != before
    assert done.stamp(tmp_path / "missing.nii")


@pytest.mark.parametrize(("given", "meant"), [("1", True), (1, True), ("TRUE", True), ("false", False), (0, False)])
def test_what_a_command_line_gives_is_understood(given: Any, meant: bool, tmp_path: Path) -> None:
    assert DoneCases(tmp_path, enabled=given).enabled is meant


def test_anything_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="resume must be true or false, got 'yes please'"):
        DoneCases(tmp_path, enabled="yes please")


class Slotted:
    __slots__ = ("value",)


def looks(value: Any) -> str:
    return json.dumps(describe(value), sort_keys=True)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, 2),
        ("a", "b"),
        (None, False),
        ([1, 2], [2, 1]),
        ({"a": 1}, {"a": 2}),
        ({"a", "b"}, {"a", "c"}),
        (np.ones(2), np.zeros(2)),
        (torch.ones(2), torch.ones(2, dtype=torch.float64)),
        (torch.float32, torch.float16),
        (Path("a"), Path("b")),
        (int, float),
        (Standardized("image"), Standardized("image", percentiles=[1, 99])),
        (Compose([ScaleIntensityd("image", 0, 1)]), Compose([ScaleIntensityd("image", 0, 2)])),
        (torch.nn.Conv3d(1, 2, 3), torch.nn.Conv3d(1, 2, (3, 3, 1))),
        (torch.nn.Sequential(torch.nn.ReLU()), torch.nn.Sequential(torch.nn.ELU())),
        (looks, test_anything_else_is_refused),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_differs_is_described_differently_and_what_is_equal_alike(one: Any, other: Any) -> None:
    assert looks(one) == looks(one)
    assert looks(one) != looks(other)


def test_what_does_not_matter_is_not_described() -> None:
    network = torch.nn.Dropout()
    before = looks(network)
    assert looks(network.eval()) == before
    one, other = (SimpleNamespace(progress=shown, on_window=shown, _cache=shown, kept=1) for shown in (True, False))
    assert looks(one) == looks(other)
    assert looks(Slotted()) == looks(Slotted())


def test_what_holds_itself_can_be_described() -> None:
    value = SimpleNamespace()
    value.itself = value
    assert looks(value)
