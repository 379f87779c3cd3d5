"""DoneCases finds whole results of the same settings from the same input, and says why others are made again."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from helpers.dicom_files import write_series
from helpers.phantoms import ball, noise, write_nifti
from monai.data import MetaTensor
from monai.transforms import Compose, Lambdad, ScaleIntensityd

from bundle.inference import CaseDataset, SaveSegmentationd, collate_cases
from bundle.inference.resume import DoneCases, describe
from bundle.io import LoadVolumed
from bundle.networks import load_weights
from bundle.networks.weights import WeightsError
from bundle.transforms import StandardizeIntensityd

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
        SaveSegmentationd("pred", label_names=NAMES, output_dir=out)(data)
    return item


def test_a_result_is_made_once(case: dict[str, str], tmp_path: Path) -> None:
    assert "image" in run(case, tmp_path / "out", enabled=True)
    record = json.loads((tmp_path / "out" / "a.json").read_text())
    assert run(case, tmp_path / "out", enabled="True") == {"done_earlier": {**record, "done_earlier": True}}
    assert "image" in run(case, tmp_path / "out")


def test_an_image_of_several_files_is_made_again_when_one_changes(case: dict[str, str], tmp_path: Path) -> None:
    second = str(write_nifti(tmp_path / "in" / "b.nii.gz", noise((12, 12, 12), seed=1)))
    both: dict[str, Any] = {"case": "a", "image": [case["image"], second]}
    assert "image" in run(both, tmp_path / "out", enabled=True)
    assert "done_earlier" in run(both, tmp_path / "out", enabled=True)
    write_nifti(second, noise((12, 12, 12), seed=22))
    os.utime(second, (0, 0))
    assert "image" in run(both, tmp_path / "out", enabled=True)


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
    path.write_text(json.dumps({**json.loads(path.read_text()), "files": None}))


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


def test_the_result_of_one_patient_is_not_that_of_another(
    case: dict, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run(case, tmp_path / "out", enabled=True)
    other = shutil.copytree(tmp_path / "in", tmp_path / "other") / "a.nii.gz"
    assert other.stat().st_mtime_ns == Path(case["image"]).stat().st_mtime_ns
    assert "image" in run({**case, "image": str(other)}, tmp_path / "out", enabled=True)
    assert f"{other} has changed or is another file" in caplog.text


def test_results_and_hidden_files_in_the_folder_of_a_series_do_not_change_it(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "series", noise((4, 4, 3), dtype=np.int16))
    done = DoneCases(folder / "out")
    before = done.stamp(folder)
    (folder / "out").mkdir()
    for name in ("out/series_seg.dcm", ".DS_Store"):
        (folder / name).touch()
    assert done.stamp(folder) == before


@pytest.mark.parametrize(
    ("header", "text"),
    [
        ("a.mhd", "ObjectType = Image\nElementDataFile = voxels.raw\n"),
        ("a.nhdr", "NRRD0004\r\ndata file: ./voxels.raw\r\nencoding: raw\r\n"),
        ("a.mhd", "ElementDataFile = LIST\nvoxels.raw\nmore.raw\n"),
        ("a.nhdr", "NRRD0004\n"),
    ],
)
def test_voxels_of_another_name_count(header: str, text: str, tmp_path: Path) -> None:
    (tmp_path / header).write_text(text)
    for name in ("voxels.raw", "b.mhd"):
        (tmp_path / name).touch()
    done = DoneCases(tmp_path / "out")
    before = done.stamp(tmp_path / header)
    os.utime(tmp_path / "b.mhd", ns=(5, 5))
    assert (done.stamp(tmp_path / header) == before) == ("voxels.raw" in text and "LIST" not in text)
    before = done.stamp(tmp_path / header)
    os.utime(tmp_path / "voxels.raw", ns=(5, 5))
    assert done.stamp(tmp_path / header) != before


def test_a_header_that_is_missing_is_left_to_the_loader(tmp_path: Path) -> None:
    assert DoneCases(tmp_path).stamp(tmp_path / "none" / "a.mhd")


@pytest.mark.parametrize("resume", [False, True])
def test_a_checkpoint_that_is_missing_is_left_to_load_weights(resume: bool, tmp_path: Path) -> None:
    DoneCases(tmp_path, enabled=resume, checkpoint=tmp_path / "no.pt")
    with pytest.raises(WeightsError, match=r"no.pt does not exist; pass --checkpoint FILE"):
        load_weights(torch.nn.Identity(), tmp_path / "no.pt")


@pytest.mark.parametrize(("given", "meant"), [("1", True), (1, True), ("TRUE", True), ("false", False), (0, False)])
def test_what_a_command_line_gives_is_understood(given: Any, meant: bool, tmp_path: Path) -> None:
    assert DoneCases(tmp_path, enabled=given).enabled is meant


def test_anything_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="resume must be true or false, got 'yes please'"):
        DoneCases(tmp_path, enabled="yes please")


class Slotted:
    __slots__ = ("value",)


def plus(amount: int) -> Any:
    return lambda value: value + amount


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
        (StandardizeIntensityd("image"), StandardizeIntensityd("image", percentiles=[1, 99])),
        (Compose([ScaleIntensityd("image", 0, 1)]), Compose([ScaleIntensityd("image", 0, 2)])),
        (torch.nn.Conv3d(1, 2, 3), torch.nn.Conv3d(1, 2, (3, 3, 1))),
        (torch.nn.Sequential(torch.nn.ReLU()), torch.nn.Sequential(torch.nn.ELU())),
        (looks, test_anything_else_is_refused),
        (lambda value: value + 1, lambda value: value + 2),
        (lambda value: value + 1, lambda value: value - 1),
        (lambda value: value.min(), lambda value: value.max()),
        (lambda value: [item + 1 for item in value], lambda value: [item + 2 for item in value]),
        (lambda value: (lambda: value + 1)(), lambda value: (lambda: value + 2)()),
        (lambda value: value in {"a", "b"}, lambda value: value in {"a", "c"}),
        (lambda value, by=1: value + by, lambda value, by=2: value + by),
        (lambda value, *, by=1: value + by, lambda value, *, by=2: value + by),
        (plus(1), plus(2)),
        (partial(np.clip, a_min=0), partial(np.clip, a_min=1)),
        (partial(max, 1), partial(max, 2)),
        (partial(plus, 1), partial(looks, 1)),
        (Compose([Lambdad("image", lambda value: value + 1)]), Compose([Lambdad("image", lambda value: value + 2)])),
        (Compose([Lambdad("image", partial(plus, 1))]), Compose([Lambdad("image", partial(plus, 2))])),
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
    assert looks(lambda: looks(value))


def test_code_looks_alike_in_every_process() -> None:
    source = "f = lambda value: [item for item in value if item in {'a', 'b', 'c', 'd', 'e'}] or (lambda: value)"
    program = f"import json; from bundle.inference.resume import describe; {source}; print(json.dumps(describe(f)))"
    seen = {
        subprocess.run(
            [sys.executable, "-c", program], env={**os.environ, "PYTHONHASHSEED": seed}, check=True, capture_output=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(seen) == 1
