"""Heads and crops in one run: regions are found, segmented, judged and described."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from helpers.phantoms import noise, write_nifti
from helpers.region_phantoms import AFFINE, SHAPE, write_crop, write_head
from helpers.warm_python import warm_command_line
from helpers.workflows import SMALL, run_workflow, small_options

from bundle.inference.learn_plausibility import learn_plausibility
from bundle.networks import AttentionUNet

PLAIN = {"_target_": "Identityd", "keys": "image"}

OPTIONS: dict[str, Any] = {
    "network_def": {"_target_": "helpers.region_phantoms.Segmenter"},
    "finder_network_def": {"_target_": "helpers.region_phantoms.Finder"},
    "normalization": PLAIN,
    "finder#preprocessing#transforms#1": PLAIN,
    "finder#divisor": 1,
    "region_size_mm": [16, 16, 16],
    "largest_crop_mm": [30, 30, 30],
}
"""Overrides under which a head of 40 x 40 x 48 mm is searched, by the values of its voxels."""

VALUES = {"left_anterior": 11, "left_posterior": 12, "right_anterior": 21, "right_posterior": 22}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Files of weights with what is plausible, learned from eight heads and eight crops."""
    folder = tmp_path_factory.mktemp("weights")
    torch.save({}, folder / "finder.pt")
    torch.save({}, folder / "model.pt")
    weights = {"checkpoint": str(folder / "model.pt"), "finder_checkpoint": str(folder / "finder.pt")}
    for seed in range(8):
        write_head(folder / "in" / f"head{seed}.nii.gz", seed)
        write_crop(folder / "in" / f"crop{seed}.nii.gz", seed)
    options = {"find_regions": True, "measure_features": True, "plausible_distance": "null", "overlay": False}
    run(folder / "in", folder / "out", weights, **options)
    learn_plausibility([folder / "out"], folder / "model.pt")
    return weights


def run(source: Path, output: Path, weights: dict[str, str], **options: Any) -> None:
    run_workflow("inference.json", input=str(source), output_dir=str(output), **{**OPTIONS, **weights, **options})


def labels_in(file: Path) -> dict[int, int]:
    """Return the number of voxels by value."""
    values, counts = np.unique(np.asarray(nib.load(file).dataobj), return_counts=True)
    return dict(zip(values.tolist(), counts.tolist(), strict=True))


def test_a_folder_with_a_head_and_a_crop_is_segmented_in_one_run(tmp_path: Path, weights: dict[str, str]) -> None:
    write_head(tmp_path / "in" / "head.nii.gz", 30)
    write_crop(tmp_path / "in" / "crop.nii.gz", 31)
    out = tmp_path / "out"
    run(tmp_path / "in", out, weights)
    endings = (".json", "_dseg.tsv", "_overlay.png", "_seg.nii.gz")
    names = [f"{case}{ending}" for case in ("crop", "head") for ending in endings]
    assert sorted(path.name for path in out.iterdir()) == sorted([*names, "summary.json", "volumes.csv"])

    head = json.loads((out / "head.json").read_text())
    assert {name: entry["value"] for name, entry in head["labels"].items()} == VALUES
    counts = labels_in(out / "head_seg.nii.gz")
    assert set(counts) == {0, *VALUES.values()}
    assert all(counts[entry["value"]] == entry["voxels"] for entry in head["labels"].values())
    np.testing.assert_allclose(nib.load(out / "head_seg.nii.gz").affine, AFFINE)
    volumes = {name: entry["volume_mm3"] for name, entry in head["labels"].items()}
    total = {side: volumes[f"{side}_anterior"] + volumes[f"{side}_posterior"] for side in ("left", "right")}
    assert {side: entry["total"] for side, entry in head["volumes_mm3"].items()} == pytest.approx(total)
    percent = 200 * (total["left"] - total["right"]) / sum(total.values())
    assert head["asymmetry_percent"]["total"] == pytest.approx(percent, abs=0.01)
    assert [(region["name"], region["found"], region["plausible"]) for region in head["regions"]] == [
        ("left", True, True),
        ("right", True, True),
    ]
    assert head["regions"][0]["center_mm"][0] < head["regions"][1]["center_mm"][0] < 0
    with open(out / "head_dseg.tsv", newline="") as stream:
        rows = {row["name"]: int(row["index"]) for row in csv.DictReader(stream, delimiter="\t")}
    assert rows == {"background": 0, **VALUES}

    crop = json.loads((out / "crop.json").read_text())
    assert {name: entry["value"] for name, entry in crop["labels"].items()} == {"anterior": 1, "posterior": 2}
    assert set(labels_in(out / "crop_seg.nii.gz")) == {0, 1, 2}
    assert crop["plausibility"]["plausible"] is True
    assert 0 < crop["plausibility"]["distance"] < crop["plausibility"]["limit"] == 10
    assert not {"regions", "volumes_mm3", "asymmetry_percent"} & crop.keys()


def test_what_is_not_plausible_is_skipped_and_the_exit_status_is_2(tmp_path: Path, weights: dict[str, str]) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    write_crop(folder / "good.nii.gz", 31)
    write_crop(folder / "small.nii.gz", 31, size=(5, 5, 1))
    write_head(folder / "large.nii.gz", 32, left=(26, 28, 8), right=(26, 28, 8))
    write_nifti(folder / "knee.nii.gz", noise(SHAPE) * 0.3, AFFINE)
    write_nifti(folder / "empty.nii.gz", noise((32, 32, 8)) * 0.3, AFFINE)
    with pytest.raises(SystemExit) as end:
        run(folder, out, weights)
    assert end.value.code == 2
    failures = json.loads((out / "summary.json").read_text())["failures"]
    assert {failure["case"]: failure["error"] for failure in failures} == {
        "small": "ImplausibleResultError",
        "large": "ImplausibleResultError",
        "knee": "NothingFoundError",
        "empty": "ImplausibleResultError",
    }
    messages = {failure["case"]: failure["message"] for failure in failures}
    assert all(message.startswith(f"{folder / case}.nii.gz: ") for case, message in messages.items())
    assert "limit 10" in messages["small"]
    assert "nothing is labeled" in messages["empty"]
    assert [path.name for path in out.glob("*_seg.nii.gz")] == ["good_seg.nii.gz"]


def test_a_region_that_is_not_plausible_is_removed_from_the_label_map(tmp_path: Path, weights: dict[str, str]) -> None:
    write_head(tmp_path / "head.nii.gz", 33, right=(26, 28, 8))
    run(tmp_path / "head.nii.gz", tmp_path / "out", weights)
    record = json.loads((tmp_path / "out" / "head.json").read_text())
    assert set(labels_in(tmp_path / "out" / "head_seg.nii.gz")) == {0, 11, 12}
    assert list(record["labels"]) == ["left_anterior", "left_posterior"]
    assert [region["plausible"] for region in record["regions"]] == [True, False]
    (remark,) = record["remarks"]
    assert remark.startswith("right: the result is not plausible and is not labeled (distance ")
    assert "asymmetry_percent" not in record


def test_confidence_maps_of_a_head_are_on_its_grid(tmp_path: Path, weights: dict[str, str]) -> None:
    write_head(tmp_path / "head.nii.gz", 34)
    run(tmp_path / "head.nii.gz", tmp_path / "out", weights, confidence=["probability", "entropy"])
    labels = np.asarray(nib.load(tmp_path / "out" / "head_seg.nii.gz").dataobj)
    for name, outside in (("probability", 0), ("entropy", 255)):
        values = np.asarray(nib.load(tmp_path / "out" / f"head_{name}.nii.gz").dataobj)
        assert values.shape == SHAPE
        assert values[0, 0, 0] == outside
        assert all(abs(np.median(values[labels == value]) - outside) > 200 for value in VALUES.values())
    record = json.loads((tmp_path / "out" / "head.json").read_text())
    assert record["labels"]["left_anterior"]["mean_probability"] > 0.5


def test_a_run_is_resumed_unless_the_limit_or_the_finder_changed(tmp_path: Path, weights: dict[str, str]) -> None:
    write_head(tmp_path / "head.nii.gz", 35)
    other = tmp_path / "finder.pt"
    torch.save({"model": {}}, other)

    times: list[int] = []

    def is_resumed(**options: Any) -> bool:
        run(tmp_path / "head.nii.gz", tmp_path / "out", {**weights, **options}, resume=True)
        (case,) = json.loads((tmp_path / "out" / "summary.json").read_text())["cases"]
        times.append((tmp_path / "out" / f"{case['case']}.json").stat().st_mtime_ns)
        return times[-2:] == [times[-1]] * 2

    assert [is_resumed(), is_resumed(), is_resumed(plausible_distance=9), is_resumed(finder_checkpoint=str(other))] == [
        *(False, True, False, False)
    ]


@pytest.mark.parametrize(
    "options",
    [
        {"find_regions": "false", "finder_checkpoint": "/none/finder.pt"},
        {"find_regions": False, "finder_checkpoint": "$None"},
        {"finder_checkpoint": "null"},
    ],
)
def test_without_a_search_a_head_is_a_crop(options: dict[str, Any], tmp_path: Path, weights: dict[str, str]) -> None:
    write_head(tmp_path / "head.nii.gz", 36)
    run(tmp_path / "head.nii.gz", tmp_path / "out", {**weights, **options}, plausible_distance="null")
    assert set(labels_in(tmp_path / "out" / "head_seg.nii.gz")) == {0, 1, 2}


def test_without_a_file_of_plausible_results_a_head_is_a_crop_and_needs_no_finder(tmp_path: Path) -> None:
    write_head(tmp_path / "head.nii.gz", 37)
    torch.save({}, tmp_path / "model.pt")
    paths = {"checkpoint": str(tmp_path / "model.pt"), "finder_checkpoint": str(tmp_path / "none.pt")}
    run(tmp_path / "head.nii.gz", tmp_path / "out", paths)
    assert set(labels_in(tmp_path / "out" / "head_seg.nii.gz")) == {0, 1, 2}
    assert "plausibility" not in json.loads((tmp_path / "out" / "head.json").read_text())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"find_regions": "some"}, "find_regions must be auto, true or false, got 'some'"),
        (
            {"find_regions": True, "finder_checkpoint": "null"},
            "find_regions must not be true without finder_checkpoint",
        ),
        ({"finder_checkpoint": "/none/finder.pt"}, "finder_checkpoint /none/finder.pt does not exist"),
        ({"finder_checkpoint": 7}, "finder_checkpoint: '7' reaches the workflow as"),
        ({"region_offsets": {"left": 10}}, "region_offsets must have a number for every region, but lack right"),
        ({"region_offsets": {"left": 1, "right": 2}}, "region_offsets must give every structure of every region"),
        ({"region_offsets": "null"}, "region_offsets must have a number for every region, but lack left, right"),
        ({"region_offsets": 10}, "region_offsets must be integers of 0 or more by the names of regions, got 10"),
        ({"region_size_mm": [39, 55]}, "region_size_mm must be three positive sizes in mm, got [39, 55]"),
        ({"region_size_mm": "null"}, "region_size_mm must be three positive sizes in mm, got 'null'"),
        ({"largest_crop_mm": [64, 80, 0]}, "largest_crop_mm must be three positive sizes in mm, got [64, 80, 0]"),
        ({"plausible_distance": "far"}, "--plausible_distance must be a number, got 'far'"),
        ({"plausible_distance": 0}, "plausible_distance must be above 0, or null, got 0"),
        ({"measure_features": "yes"}, "measure_features must be auto, true or false, got 'yes'"),
    ],
)
def test_a_wrong_value_is_refused_by_its_id(
    options: dict[str, Any], message: str, tmp_path: Path, weights: dict[str, str]
) -> None:
    write_head(tmp_path / "head.nii.gz")
    with pytest.raises(RuntimeError) as error:
        run(tmp_path / "head.nii.gz", tmp_path / "out", {**weights, **options})
    cause: BaseException = error.value
    while cause.__cause__ is not None:
        cause = cause.__cause__
    assert message in str(cause)


def test_the_options_work_on_the_command_line(tmp_path: Path) -> None:
    torch.manual_seed(5)
    network = AttentionUNet(3, 1, 3, channels=SMALL["network_def#channels"], spatial_size=SMALL["roi_size"])
    torch.save(network.state_dict(), tmp_path / "model.pt")
    image = write_nifti(tmp_path / "scan.nii.gz", noise((20, 18, 24)))
    found = warm_command_line(
        *("monai.bundle", "run", "--config_file", "configs/inference.json", "--input", str(image)),
        *("--output_dir", str(tmp_path / "out"), "--checkpoint", str(tmp_path / "model.pt"), *small_options()),
        *("--find_regions", "false", "--finder_checkpoint", "null", "--region_offsets", "{left: 100, right: 200}"),
        *("--region_size_mm", "[30,40,30]", "--largest_crop_mm", "[50.5,60,50]", "--plausible_distance", "null"),
        *("--measure_features", "true"),
    )
    assert found.returncode == 0, found.stdout
    entry = json.loads((tmp_path / "out" / "scan.json").read_text())["plausibility"]
    assert (entry["plausible"], entry["distance"], entry["limit"]) == (None, None, None)
    assert entry["features"]["volume_mm3"] > 0
