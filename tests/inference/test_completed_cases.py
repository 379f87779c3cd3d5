"""Complete results of the same settings from the same input are found; the reason for recomputing others is logged."""

from __future__ import annotations

import copy
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.dicom_files import write_series
from helpers.phantoms import ball, noise, write_nifti
from monai.bundle import ConfigParser
from monai.data import MetaTensor
from monai.transforms import Compose

from bundle import ROOT
from bundle.inference import CaseDataset, CompletedCases, SaveSegmentationd, collate_cases, completed_cases
from bundle.inference.claims import Claim
from bundle.io import LoadVolumed
from bundle.networks import load_weights
from bundle.networks.weights import WeightsError
from bundle.utils.versions import versions

NAMES = {"lower": 1, "upper": 2}


@pytest.fixture
def case(tmp_path: Path) -> dict[str, str]:
    return {"case": "a", "image": str(write_nifti(tmp_path / "in" / "a.nii.gz", noise((12, 12, 12))))}


def run(case: dict[str, str], out: Path, **options: Any) -> dict[str, Any]:
    """Make the result of a case, and return the item that the dataset gave."""
    completed = CompletedCases(out, **options)
    dataset = CaseDataset([case], Compose([LoadVolumed("image")]), completed=completed)
    item = collate_cases([dataset[0]])
    if "image" in item:
        data = {"image": dataset[0]["image"], "record": item["record"]}
        data["pred"] = MetaTensor(torch.as_tensor(ball())[None], meta=data["image"].meta)
        SaveSegmentationd("pred", label_names=NAMES, output_dir=out)(data)
    return item


def test_a_result_is_computed_once(case: dict[str, str], tmp_path: Path) -> None:
    assert "image" in run(case, tmp_path / "out", enabled=True)
    record = json.loads((tmp_path / "out" / "a.json").read_text())
    (earlier,) = run(case, tmp_path / "out", enabled="True").values()
    assert earlier.status == "completed earlier"
    assert earlier.to_json() == record
    assert "image" in run(case, tmp_path / "out")


def test_an_image_of_several_files_is_recomputed_when_one_changes(case: dict[str, str], tmp_path: Path) -> None:
    second = str(write_nifti(tmp_path / "in" / "b.nii.gz", noise((12, 12, 12), seed=1)))
    both: dict[str, Any] = {"case": "a", "image": [case["image"], second]}
    assert "image" in run(both, tmp_path / "out", enabled=True)
    assert list(run(both, tmp_path / "out", enabled=True)) == ["record"]
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
    del record["provenance"]
    path.write_text(json.dumps(record))


@pytest.mark.parametrize(
    ("spoil", "options", "words"),
    [
        (spoil_map, {}, "a_seg.nii.gz is missing or damaged"),
        (lambda folder: (folder / "out" / "a_seg.nii.gz").unlink(), {}, "a_seg.nii.gz is missing or damaged"),
        (touch_input, {}, "a.nii.gz has changed"),
        (cut_json, {}, "it has no provenance"),
        (lambda folder: (folder / "out" / "a.json").write_text("[]"), {}, "it has no provenance"),
        (earlier_version, {}, "it has no provenance"),
        (lambda folder: None, {"settings": [{"overlap": 0.5}]}, "was computed by other settings"),
        (lambda folder: (folder / "model.pt").write_bytes(b"new"), {}, "was computed by other settings"),
    ],
    ids=["cut", "gone", "input", "json", "no record", "earlier", "settings", "weights"],
)
def test_a_stale_result_is_recomputed_and_the_reason_is_logged(
    spoil: Any, options: dict, words: str, case: dict, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    weights = tmp_path / "model.pt"
    weights.write_bytes(b"old")
    run(case, tmp_path / "out", enabled=True, checkpoint=weights)
    spoil(tmp_path)
    item = run(case, tmp_path / "out", **{"enabled": True, "checkpoint": weights, **options})
    assert "image" in item
    assert words in caplog.text
    assert "recomputed, since" in caplog.text


def test_files_that_were_corrected_by_hand_are_kept_with_one_warning(
    case: dict, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "out"
    run(case, out, enabled=True)
    corrected = write_nifti(out / "a_seg.nii.gz", ball(radius=2.5)).read_bytes()
    os.utime(out / "a_seg.nii.gz", (1, 1))
    for _ in range(2):
        caplog.clear()
        completed = CompletedCases(out, enabled=True)
        assert [completed.begin(case), completed.begin(case)] == ["completed"] * 2
        assert list(run(case, out, enabled=True)) == ["record"]
        kept = f"{out}: a_seg.nii.gz was corrected by hand and is kept"
        assert [message for message in caplog.messages if message.startswith(kept)] == caplog.messages[:2]
        assert caplog.messages[1].endswith("; remove a.json to compute the case again")
        assert (out / "a_seg.nii.gz").read_bytes() == corrected
        next(out.glob("*_dseg.tsv")).write_bytes(b"")
    assert "although a_dseg.tsv is missing or damaged" in caplog.text
    (out / "a.json").unlink()
    assert "image" in run(case, out, enabled=True)
    assert (out / "a_seg.nii.gz").read_bytes() != corrected


def test_a_label_map_without_json_is_no_result(case: dict, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run(case, tmp_path / "out", enabled=True)
    (tmp_path / "out" / "a.json").unlink()
    assert "image" in run(case, tmp_path / "out", enabled=True)
    assert caplog.text == ""


def test_a_series_and_a_header_with_voxels_apart_change_with_any_of_their_files(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "series", noise((4, 4, 3), dtype=np.int16))
    for name in ("a.mhd", "a.raw"):
        (tmp_path / name).touch()
    completed = CompletedCases(tmp_path)
    for source, part in ((folder, folder / "IM0001.dcm"), (tmp_path / "a.mhd", tmp_path / "a.raw")):
        before = completed.provenance(source)
        assert completed.provenance(source) == before
        os.utime(part, ns=(5, 5))
        assert completed.provenance(source) != before
    assert completed.provenance(tmp_path / "missing.nii")


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
    completed = CompletedCases(folder / "out")
    before = completed.provenance(folder)
    (folder / "out").mkdir()
    for name in ("out/series_seg.dcm", ".DS_Store"):
        (folder / name).touch()
    assert completed.provenance(folder) == before


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
    completed = CompletedCases(tmp_path / "out")
    before = completed.provenance(tmp_path / header)
    os.utime(tmp_path / "b.mhd", ns=(5, 5))
    assert (completed.provenance(tmp_path / header) == before) == ("voxels.raw" in text and "LIST" not in text)
    before = completed.provenance(tmp_path / header)
    os.utime(tmp_path / "voxels.raw", ns=(5, 5))
    assert completed.provenance(tmp_path / header) != before


def test_a_header_that_is_missing_is_left_to_the_loader(tmp_path: Path) -> None:
    assert CompletedCases(tmp_path).provenance(tmp_path / "none" / "a.mhd")


@pytest.mark.parametrize("resume", [False, True])
def test_a_checkpoint_that_is_missing_is_left_to_load_weights(resume: bool, tmp_path: Path) -> None:
    CompletedCases(tmp_path, enabled=resume, checkpoint=tmp_path / "no.pt")
    with pytest.raises(WeightsError, match=r"no.pt does not exist; pass --checkpoint FILE"):
        load_weights(torch.nn.Identity(), tmp_path / "no.pt")


@pytest.mark.parametrize(("given", "meant"), [("1", True), (1, True), ("TRUE", True), ("false", False), (0, False)])
def test_what_a_command_line_gives_is_understood(given: Any, meant: bool, tmp_path: Path) -> None:
    assert CompletedCases(tmp_path, enabled=given).enabled is meant


def test_anything_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="resume must be true or false, got 'yes please'"):
        CompletedCases(tmp_path, enabled="yes please")


def test_a_result_that_another_process_removes_meanwhile_is_none(
    case: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(case, tmp_path / "out", enabled=True)
    is_file = Path.is_file

    def find_and_remove(path: Path) -> bool:
        found = is_file(path)
        if path.name == "a.json":
            path.unlink()
        return found

    monkeypatch.setattr(Path, "is_file", find_and_remove)
    assert CompletedCases(tmp_path / "out", enabled=True).find(case) is None


def test_a_case_whose_input_cannot_be_looked_at_is_given_back(
    case: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    completed = CompletedCases(tmp_path / "out", enabled=True)
    looks = iter([(None, "")])
    with monkeypatch.context() as patched:
        patched.setattr(completed, "_look_up", lambda case: next(looks))
        with pytest.raises(StopIteration):
            completed.begin(case)
    assert completed.claims.held("a") is None
    assert isinstance(completed.begin(case), Claim)
    completed.claims.close()


CONFIG = {
    "imports": ["$import bundle"],
    "label_names": {"lower": 1, "upper": 2},
    "roi_size": [8, 8, 8],
    "overlap": 0.25,
    "output_format": "nii.gz",
    "network_def": {
        "_target_": "bundle.networks.AttentionUNet",
        "spatial_dims": 3,
        "in_channels": 1,
        "out_channels": 3,
        "channels": [4, 8],
        "attention": "pam",
        "spatial_size": "@roi_size",
    },
    "preprocessing": {
        "_target_": "Compose",
        "transforms": [
            {"_target_": "bundle.io.LoadVolumed", "keys": "image"},
            {"_target_": "bundle.grid.ResampleSpacingd", "keys": "image", "pixdim": [1.0, 1.0, 1.0]},
        ],
    },
    "inferer": {
        "_target_": "bundle.inference.PlannedInferer",
        "inferer": {"_target_": "bundle.inference.SlabInferer", "roi_size": "@roi_size", "overlap": "@overlap"},
    },
    "completed": {
        "_target_": "bundle.inference.CompletedCases",
        "output_dir": "out",
        "settings": ["@label_names", "@network_def", "@preprocessing", "@inferer", "@output_format"],
    },
}


def digest(**changes: Any) -> str:
    """Return the digest of the settings of a config with changes by id."""
    parser = ConfigParser(copy.deepcopy(CONFIG))
    parser.update(changes)
    return parser.get_parsed_content("completed").settings


def test_the_same_config_has_the_same_digest() -> None:
    assert digest() == digest()


@pytest.mark.parametrize(
    "change",
    [
        {"label_names": {"lower": 1, "whole": 2}},
        {"roi_size": [16, 8, 8]},
        {"overlap": 0.5},
        {"output_format": "mha"},
        {"network_def#channels": [4, 8, 16]},
        {"network_def#attention": ["pam", {"slice_pooling": "max"}]},
        {"network_def#attention": ["pam", {"key_gradient": False}]},
        {"network_def#act": "relu"},
        {"network_def": {"_target_": "torch.nn.Conv3d", "in_channels": 1, "out_channels": 3, "kernel_size": 3}},
        {"preprocessing#transforms#1#pixdim": [2.0, 1.0, 1.0]},
        {"preprocessing#transforms#1": {"_target_": "ScaleIntensityd", "keys": "image"}},
        {"inferer#plan": "bf16"},
        {"inferer#inferer#spread": "scan"},
    ],
    ids=lambda change: "-".join(f"{key}={value}" for key, value in change.items())[:60],
)
def test_every_setting_that_decides_on_a_result_changes_the_digest(change: dict[str, Any]) -> None:
    assert digest(**change) != digest()


@pytest.mark.slow
def test_the_digest_is_the_same_in_every_process() -> None:
    path = Path(__file__)
    program = f"import runpy; print(runpy.run_path({str(path)!r})['digest']())"
    seen = {
        subprocess.run(
            [sys.executable, "-W", "ignore", "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join([ROOT, str(path.parents[1])])},
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert seen == {digest()}


@pytest.mark.parametrize("package", ["keyslice", "monai", "torch"])
def test_another_version_changes_the_digest(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = digest()
    monkeypatch.setattr(completed_cases, "versions", lambda: {**versions(), package: "0"})
    assert digest() != before
    monkeypatch.setattr(completed_cases, "versions", lambda: {**versions(), "scipy": "0"})
    assert digest() == before
