"""Regions of a head are found and segmented as by the inferer of the workflows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from helpers.onnx_models import FINDER, REGIONS, VOLUMES, HeadFinder, write_head_model
from helpers.phantoms import write_nifti
from helpers.region_phantoms import Segmenter, write_head
from monai.data.utils import collate_meta_tensor
from monai.transforms import Compose, Orientationd

from bundle.grid import CropConstantBorderd, LabelMapAssembler, ResampleSpacingd
from bundle.inference import FeatureAssembler, Plausibility, RegionFinder, RegionInferer, SlabInferer
from bundle.inference.prepare_crop import SEARCHED
from bundle.io import LoadVolumed
from bundle.runtime.keyslice_run import run_model
from bundle.transforms import StandardizeIntensityd

NAMES = {"rear": 1, "front": 2}


def known(mean: float = 450.0) -> dict[str, Any]:
    """Return what is known of plausible results with a volume about a mean."""
    distribution = {"cases": 9, "names": ["volume_mm3"], "mean": [mean], "covariance": [[1e4]]}
    return {"weights": "", "distributions": {"crop": distribution, "region": distribution}}


def run(folder: Path, reference: dict[str, Any], **about: Any) -> dict[str, Any]:
    model = write_head_model(folder / "model.onnx", plausibility=reference, **about)
    (record,) = run_model(model, folder / "head.nii.gz", folder / "out", threads=1)
    assert json.loads((folder / "out" / "head.json").read_text()) == json.loads(json.dumps(record.to_json()))
    return record.to_json()


def workflow(folder: Path, reference: dict[str, Any], size_mm: list[float]) -> tuple[np.ndarray, Any]:
    """Return label map and findings of the inferer of the workflows."""
    plausibility = Plausibility.of_content(reference)
    coarse = [
        ResampleSpacingd("image", pixdim=FINDER["spacing_mm"], antialias=True),
        StandardizeIntensityd("image", percentiles=FINDER["percentiles"]),
    ]
    finder = RegionFinder(
        HeadFinder(),
        regions=REGIONS,
        preprocessing=Compose(coarse),
        size_mm=size_mm,
        largest_crop_mm=VOLUMES["preprocessing"]["largest_crop_mm"],
        enabled=True,
    )
    label_map = FeatureAssembler(LabelMapAssembler(), label_names=NAMES, plausibility=plausibility)
    inferer = RegionInferer(
        SlabInferer(VOLUMES["window"], overlap=0.25, assembler=label_map),
        label_names=NAMES,
        finder=finder,
        preprocessing=ResampleSpacingd("image", pixdim=VOLUMES["spacing_mm"]),
        offsets=FINDER["offsets"],
        label_map=label_map,
        plausibility=plausibility,
    )
    steps = [LoadVolumed("image"), Orientationd("image", axcodes="RAS", labels=None), CropConstantBorderd("image")]
    image = Compose(steps)({"image": str(folder / "head.nii.gz")})["image"]
    image.meta[SEARCHED] = True
    labels = inferer(collate_meta_tensor([image]), Segmenter())
    return labels[0, 0].numpy(), inferer.findings


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("size_mm", [[14.0, 14.0, 16.0], [9.0, 8.0, 10.0]], ids=["complete", "cut and moved"])
def test_label_map_and_findings_are_those_of_the_workflow(seed: int, size_mm: list[float], tmp_path: Path) -> None:
    write_head(tmp_path / "head.nii.gz", seed)
    found = run(tmp_path, known(), finder={**FINDER, "size_mm": size_mm})
    wanted, findings = workflow(tmp_path, known(), size_mm)
    labels = np.asarray(nib.load(tmp_path / "out" / "head_seg.nii.gz").dataobj)
    assert (labels == wanted).mean() > 0.999  # at the borders of both parts, scores are ties within rounding
    assert set(np.unique(labels)) == {0, 11, 12, 21, 22}
    assert found["remarks"] == findings.remarks
    for entry, expected in zip(found["regions"], findings.results["regions"], strict=True):
        for name in ("name", "found", "center_mm", "cut", "plausible"):
            assert entry[name] == expected[name]
        assert entry["features"] == pytest.approx(expected["features"], abs=2e-3)
        assert entry["finder"] == pytest.approx(expected["finder"], abs=2e-3)
    assert set(found["volumes_mm3"]) == set(REGIONS)
    assert found["labels"]["left_rear"]["margin"] == pytest.approx(findings.numbers["left_rear"]["margin"], abs=2e-4)


def test_a_missing_region_is_remarked_on(tmp_path: Path) -> None:
    write_head(tmp_path / "head.nii.gz", right=None)
    found = run(tmp_path, known())
    assert "right was not found" in found["remarks"]
    assert set(found["labels"]) == {"left_rear", "left_front"}


def test_a_head_without_regions_is_an_error(tmp_path: Path) -> None:
    write_head(tmp_path / "head.nii.gz", left=None, right=None)
    found = run(tmp_path, known(), finder={**FINDER, "min_volume_mm3": 200.0})
    assert found["error"] == "NothingFoundError"
    assert "neither left nor right was found" in found["message"]
    assert found["shape"] == [80, 80, 24]


def test_results_that_are_not_plausible_are_an_error(tmp_path: Path) -> None:
    write_head(tmp_path / "head.nii.gz")
    found = run(tmp_path, known(mean=1e6))
    assert found["error"] == "ImplausibleResultError"
    assert "left: the result is not plausible" in found["message"]
    assert [entry["plausible"] for entry in found["regions"]] == [False, False]


def test_a_region_that_is_not_plausible_is_not_labeled(tmp_path: Path) -> None:
    write_head(tmp_path / "head.nii.gz", left=(15, 15, 4), right=(12, 12, 4))
    left, right = (entry["features"]["volume_mm3"] for entry in run(tmp_path, known())["regions"])
    variance = ((left - right) / 100) ** 2
    region = {"cases": 9, "names": ["volume_mm3"], "mean": [left], "covariance": [[variance]]}
    found = run(tmp_path, {"weights": "", "distributions": {"region": region}})
    assert set(found["labels"]) == {"left_rear", "left_front"}
    assert found["remarks"][-1].startswith("right: the result is not plausible and is not labeled")


def test_a_region_without_a_label_is_not_plausible(tmp_path: Path) -> None:
    file = write_head(tmp_path / "head.nii.gz")
    image = nib.load(file)
    write_nifti(file, np.asarray(image.dataobj) / 5, image.affine)
    found = run(tmp_path, known(), preprocessing={**VOLUMES["preprocessing"], "plausible_distance": None})
    assert "nothing is labeled" in found["message"]
    assert [entry["plausible"] for entry in found["regions"]] == [False, False]
