"""Regions are found on a coarse grid and segmented on a fine one; only plausible results are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.phantoms import meta_tensor, write_nifti
from monai.data import MetaTensor
from monai.data.utils import collate_meta_tensor
from monai.transforms import Compose, Orientationd

from bundle.grid import LabelMapAssembler, ResampleSpacingd
from bundle.inference import (
    FeatureAssembler,
    ImplausibleResultError,
    NothingFoundError,
    PlannedInferer,
    Plausibility,
    PrepareCropd,
    Region,
    RegionFinder,
    RegionInferer,
    SlabInferer,
)
from bundle.inference.plausibility import CROP, REGION, FeatureDistribution
from bundle.inference.prepare_crop import SEARCHED
from bundle.io import LoadVolumed

AFFINE = np.diag([-0.5, 0.5, 2.0, 1.0])
OFFSETS = {"left": 10, "right": 20}
BLOCK = 8**3
"""Volume of a block of :func:`head` in mm3."""


def coarse(x: torch.Tensor) -> torch.Tensor:
    """Find class 1 around 10 and class 2 around -10."""
    return torch.cat([5 - (x - value).abs() for value in (0, 10, -10)], dim=1)


def fine(x: torch.Tensor) -> torch.Tensor:
    """Label values that are more than 5 from 0 as 1."""
    return torch.cat([5 - x.abs(), x.abs() - 5], dim=1)


def blocks(left: bool = True, right: bool = True) -> torch.Tensor:
    """Return voxels of 0.5 x 0.5 x 2 mm with two blocks of 8 x 8 x 8 mm."""
    values = torch.zeros(1, 80, 80, 24)
    if left:
        values[:, 16:32, 32:48, 10:14] = 10
    if right:
        values[:, 48:64, 32:48, 10:14] = -10
    return values


def head(values: torch.Tensor | None = None, **meta: Any) -> MetaTensor:
    """Return a batch of an image of 40 x 40 x 48 mm, in the orientation RAS of a file in LAS, to be searched."""
    values = blocks() if values is None else values
    file = meta_tensor(values, affine=AFFINE, spatial_shape=values.shape[1:], **{SEARCHED: True, **meta})
    image: MetaTensor = Orientationd("image", axcodes="RAS", labels=None)({"image": file})["image"]
    return collate_meta_tensor([image])


def finder(network: Any = coarse, **options: Any) -> RegionFinder:
    settings = {"size_mm": [16, 16, 16], "largest_crop_mm": [30, 30, 30], "divisor": 1, "enabled": True, **options}
    preprocessing = ResampleSpacingd("image", pixdim=[4.0, 4.0, 4.0], antialias=True)
    return RegionFinder(network, **{"regions": {"left": 1, "right": 2}, "preprocessing": preprocessing, **settings})


def judge(mean: float = BLOCK, *, limit: float | None = 5.0, **distributions: FeatureDistribution) -> Plausibility:
    """Return what holds volumes within 100 mm3 around a mean, or 5 times as far, for plausible."""
    plausibility = Plausibility(None, limit=limit)
    of_volume = FeatureDistribution(9, ["volume_mm3"], [mean], [[100.0**2]])
    plausibility.distributions = {CROP: of_volume, REGION: of_volume, **distributions}
    return plausibility


def inferer(confidence: Sequence[Any] = (), **options: Any) -> RegionInferer:
    plausibility = options.get("plausibility")
    assembler = LabelMapAssembler(confidence=confidence)
    label_map = FeatureAssembler(assembler, label_names={"block": 1}, plausibility=plausibility)
    window = SlabInferer([16, 16, 16], assembler=label_map)
    settings = {
        "label_names": {"block": 1},
        "finder": finder(),
        "preprocessing": ResampleSpacingd("image", pixdim=[1.0, 1.0, 1.0]),
        "offsets": OFFSETS,
        "label_map": label_map,
    }
    return RegionInferer(window, **{**settings, **options})


def found_in(infer: RegionInferer) -> list[bool]:
    """Return which regions of the last image were found."""
    assert infer.findings is not None
    return [region["found"] for region in infer.findings.results["regions"]]


def test_one_label_map_on_the_grid_of_the_file() -> None:
    infer, steps = inferer(), []
    infer.on_window = lambda *step: steps.append(step)
    found = infer(head(), fine)
    expected = torch.zeros(1, 1, 80, 80, 24)
    expected[..., 16:32, 32:48, 10:14], expected[..., 48:64, 32:48, 10:14] = 11, 21
    assert found.shape == expected.shape
    for value in (11, 21):
        mask, reference = found == value, expected == value
        assert 2 * (mask & reference).sum() > 0.85 * (mask.sum() + reference.sum())
    assert set(found.unique().tolist()) == {0, 11, 21}
    assert np.allclose(found.affine, AFFINE)
    assert infer.findings is not None
    assert infer.findings.label_names == {"left": {"block": 11}, "right": {"block": 21}}
    assert found_in(infer) == [True, True]
    shares = [done / total for done, total in steps]
    assert shares == sorted(shares)
    assert shares[-1] == 1


def test_an_image_of_a_data_loader_has_the_label_map_of_its_file(tmp_path: Path) -> None:
    turn = np.array([[0, 0, 2.0, 5], [-0.5, 0, 0, 7], [0, 0.5, 0, -9], [0, 0, 0, 1]])
    file = write_nifti(tmp_path / "head.nii.gz", blocks()[0].numpy(), turn)
    prepare = Compose(
        [
            LoadVolumed("image"),
            Orientationd("image", axcodes="RAS", labels=None),
            PrepareCropd(Compose([ResampleSpacingd("image", pixdim=[1.0, 1.0, 1.0])]), finder=finder()),
        ]
    )
    batch = collate_meta_tensor([prepare({"image": str(file)})["image"]])
    found = inferer()(batch, fine)
    assert tuple(found.shape) == (1, 1, 80, 80, 24)
    assert np.allclose(found.affine, turn)
    for value, values in ((11, blocks(right=False)), (21, blocks(left=False))):
        mask, reference = found[0] == value, values != 0
        assert 2 * (mask & reference).sum() > 0.85 * (mask.sum() + reference.sum())


def test_the_fine_network_sees_crops_alone() -> None:
    shapes = []

    def watched(x: torch.Tensor) -> torch.Tensor:
        shapes.append(tuple(x.shape[2:]))
        return fine(x)

    inferer()(head(), watched)
    assert len(shapes) <= 16
    assert set(shapes) == {(16, 16, 16)}


def test_a_missing_region_is_reported_and_the_other_is_segmented() -> None:
    infer = inferer()
    found = infer(head(blocks(right=False)), fine)
    assert set(found.unique().tolist()) == {0, 11}
    assert found_in(infer) == [True, False]
    assert infer.findings is not None
    assert infer.findings.label_names == {"left": {"block": 11}}
    assert infer.findings.remarks == ["right was not found"]


def test_a_region_at_the_border_is_reported() -> None:
    values = blocks(right=False)
    values[:, 64:80, 32:48, 10:14] = -10
    infer = inferer()
    found = infer(head(values), fine)
    assert set(found.unique().tolist()) == {0, 11, 21}
    assert infer.findings is not None
    assert infer.findings.remarks == ["right touches the border of the image and may be incomplete"]


@pytest.mark.parametrize("name", ["knee.nii.gz", ["knee.nii.gz"]])
def test_an_image_without_a_region_is_an_error(name: Any) -> None:
    image = head(blocks(left=False, right=False))
    image.meta["filename_or_obj"] = name
    with pytest.raises(NothingFoundError, match=r"^knee\.nii\.gz.* neither left nor right was found"):
        inferer()(image, fine)


def test_an_image_without_the_only_region_is_an_error() -> None:
    infer = inferer(finder=finder(regions={"right": 2}))
    with pytest.raises(NothingFoundError, match="the image: right was not found; check that"):
        infer(head(blocks(right=False)), fine)


@pytest.mark.parametrize("searched", [False, None])
def test_a_small_image_is_the_crop_of_one_region(searched: bool | None) -> None:
    infer, image = inferer(), head()
    image.meta[SEARCHED] = searched
    found = infer(image, fine)
    assert set(found.unique().tolist()) == {0, 1}
    assert infer.findings is not None
    assert infer.findings.label_names == {"": {"block": 1}}
    assert (infer.findings.results, infer.findings.remarks) == ({}, [])


def test_without_a_finder_every_image_is_a_crop() -> None:
    assert set(inferer(finder=None)(head(), fine).unique().tolist()) == {0, 1}
    plain = RegionInferer(SlabInferer([16, 16, 16], output="labels"), label_names={"block": 1})
    assert set(plain(blocks()[None], fine).unique().tolist()) == {0, 1}


def test_the_windows_of_a_crop_are_reported() -> None:
    infer, steps = inferer(), []
    infer.on_window = lambda *step: steps.append(step)
    infer(head(**{SEARCHED: False}), fine)
    assert [done for done, _ in steps] == list(range(1, steps[-1][1] + 1))


def test_an_inferer_without_windows_has_no_progress() -> None:
    infer = RegionInferer(lambda image, network: network(image), label_names={"block": 1})
    infer.on_window = lambda *_: pytest.fail("no windows")
    assert infer(torch.zeros(1, 1, 2, 2, 2), lambda image: image + 1).sum() == 8


def test_the_description_is_that_of_the_wrapped_inferer() -> None:
    infer = inferer()
    assert infer.description is None
    infer.inferer.description = "fp32"
    assert infer.description == "fp32"


def test_a_plan_serves_all_regions() -> None:
    infer = inferer()
    infer.inferer = PlannedInferer(infer.inferer, plan={"dtype": "fp32", "batch": 2})
    network = torch.nn.Conv3d(1, 2, 1)
    network.weight.data = torch.tensor([0.0, 1.0]).reshape(2, 1, 1, 1, 1)
    network.bias.data = torch.tensor([5.0, 0.0])
    infer.finder = finder(lambda x: coarse(x.abs() * torch.linspace(1, -1, x.shape[2]).sign().reshape(1, 1, -1, 1, 1)))
    with torch.no_grad():
        found = infer(head(blocks().abs()), network)
    assert set(found.unique().tolist()) == {0, 11, 21}
    assert infer.description == "fp32, contiguous, 2 windows per batch (forced)"


@pytest.mark.parametrize("preprocessing", ["several", None])
def test_the_preprocessing_of_a_region_may_be_several_transforms_or_none(preprocessing: Any) -> None:
    infer = inferer()
    infer.preprocessing = Compose([infer.preprocessing]) if preprocessing else None
    assert set(infer(head(), fine).unique().tolist()) == {0, 11, 21}


class TestOffsets:
    """Every structure of every region has a value that no other has."""

    @pytest.mark.parametrize("offsets", [{"left": 10}, None, "null"])
    def test_every_region_needs_one(self, offsets: Any) -> None:
        with pytest.raises(ValueError, match=r"offsets must have a number for every region, but lack .*right"):
            inferer(offsets=offsets)

    @pytest.mark.parametrize("offsets", [{"left": 10, "right": value} for value in (-1, 1.5, "20")] + [10, "10"])
    def test_they_are_integers(self, offsets: Any) -> None:
        with pytest.raises(ValueError, match="region_offsets must be integers of 0 or more by the names of regions"):
            inferer(offsets=offsets)

    @pytest.mark.parametrize("offsets", [{"left": 10, "right": 10}, {"left": 10, "right": 11}])
    def test_two_structures_with_the_same_value_are_refused(self, offsets: dict[str, int]) -> None:
        with pytest.raises(ValueError, match="region_offsets must give every structure of every region another value"):
            inferer(offsets=offsets, label_names={"lower": 1, "upper": 2})

    def test_they_do_not_matter_without_a_search(self) -> None:
        assert inferer(offsets={"left": 1, "right": 1}, finder=finder(enabled=False)).offsets == {"left": 1, "right": 1}

    def test_their_values_may_need_a_larger_type(self) -> None:
        found = inferer(offsets={"left": 10, "right": 300}, confidence=["probability"])(head(), fine)
        assert set(found[:, :1].unique().tolist()) == {0, 11, 301}
        assert found[:, 1].max() == 255
        back = inferer(offsets={"left": 300, "right": 10})(head(), fine)
        assert set(back.unique().tolist()) == {0, 301, 11}


class TestComponents:
    """Of every region the largest connected component is kept."""

    def test_a_smaller_component_is_removed(self) -> None:
        values = blocks(right=False)
        values[:, 34:36, 32:34, 8] = 10
        found = inferer(finder=finder(size_mm=[20, 20, 20]))(head(values), fine)
        assert found[..., 34:36, 32:34, 8].sum() == 0
        assert found[..., 20, 40, 12] == 11

    def test_a_region_without_a_label_is_a_remark(self) -> None:
        infer = inferer()
        found = infer(head(), lambda x: torch.cat([0 * x, x - 5], dim=1))
        assert set(found.unique().tolist()) == {0, 11}
        assert infer.findings is not None
        assert infer.findings.remarks == ["right: the result is not plausible and is not labeled (nothing is labeled)"]
        assert infer.findings.results["regions"][1]["plausible"] is False
        assert "plausible" not in infer.findings.results["regions"][0]

    def test_an_image_whose_regions_have_no_label_is_an_error(self) -> None:
        with pytest.raises(ImplausibleResultError, match=r"left: .*nothing is labeled.*; right: .*nothing"):
            inferer()(head(), lambda x: torch.cat([0 * x, 0 * x - 5], dim=1))


class TestPlausibility:
    """Results that are not plausible are removed; where nothing is left, there is no label map."""

    def test_a_plausible_region_has_its_features_in_the_json(self) -> None:
        infer = inferer(plausibility=judge())
        infer(head(), fine)
        assert infer.findings is not None
        for region in infer.findings.results["regions"]:
            assert region["plausible"] is True
            assert region["limit"] == 5.0
            assert region["distance"] == pytest.approx(abs(region["features"]["volume_mm3"] - BLOCK) / 100, abs=0.01)
            assert 0.7 * BLOCK < region["features"]["volume_mm3"] < 1.3 * BLOCK
        assert infer.findings.remarks == []

    def test_an_implausible_region_is_removed_with_a_remark_and_the_other_is_kept(self) -> None:
        values = blocks()
        values[:, 48:64, 32:40, 10:14] = 0
        infer = inferer(plausibility=judge(limit=1.5))
        found = infer(head(values), fine)
        assert set(found.unique().tolist()) == {0, 11}
        assert infer.findings is not None
        assert list(infer.findings.label_names) == ["left"]
        (remark,) = infer.findings.remarks
        assert remark.startswith("right: the result is not plausible and is not labeled (distance ")
        assert "limit 1.5: volume_mm3" in remark
        assert [region["plausible"] for region in infer.findings.results["regions"]] == [True, False]
        assert found_in(infer) == [True, True]

    def test_an_image_without_a_plausible_region_is_an_error(self) -> None:
        image = head()
        image.meta["filename_or_obj"] = ["head.nii.gz"]
        with pytest.raises(ImplausibleResultError, match=r"^head\.nii\.gz: left: .*; right: .*plausible_distance sets"):
            inferer(plausibility=judge(5000))(image, fine)

    def test_a_plausible_crop_has_its_features_in_the_json(self) -> None:
        infer = inferer(plausibility=judge())
        infer(head(blocks(right=False), **{SEARCHED: False}), fine)
        assert infer.findings is not None
        entry = infer.findings.results["plausibility"]
        assert (entry["plausible"], entry["limit"]) == (True, 5.0)
        assert entry["features"] == infer.label_map.features

    def test_an_implausible_crop_is_an_error(self) -> None:
        image = head(blocks(right=False), **{SEARCHED: False, "filename_or_obj": "knee.nii.gz"})
        with pytest.raises(ImplausibleResultError, match=r"^knee\.nii\.gz: the result is not plausible \(distance"):
            inferer(plausibility=judge(5000))(image, fine)

    @pytest.mark.parametrize("searched", [True, False])
    def test_a_refused_image_keeps_features_and_the_grid_of_its_file(self, searched: bool) -> None:
        infer = inferer(plausibility=judge(5000))
        with pytest.raises(ImplausibleResultError):
            infer(head(blocks(right=False), **{SEARCHED: searched}), fine)
        assert infer.findings is not None
        results = infer.findings.results
        assert (results["shape"], results["spacing_mm"]) == ([80, 80, 24], [0.5, 0.5, 2.0])
        entry = results["regions"][0] if searched else results["plausibility"]
        assert entry["plausible"] is False

    def test_the_grid_of_an_array_without_a_file_is_not_known(self) -> None:
        infer = inferer(plausibility=judge(5000))
        with pytest.raises(ImplausibleResultError):
            infer(torch.full((1, 1, 16, 16, 16), 10.0), fine)
        assert infer.findings is not None
        assert list(infer.findings.results) == ["plausibility"]

    def test_a_crop_without_a_label_is_an_error(self) -> None:
        image = head(blocks(left=False, right=False), **{SEARCHED: False})
        with pytest.raises(ImplausibleResultError, match="the result is not plausible \\(nothing is labeled\\)"):
            inferer(plausibility=judge())(image, fine)

    @pytest.mark.parametrize("searched", [True, False])
    def test_without_a_limit_nothing_is_judged(self, searched: bool) -> None:
        infer = inferer(plausibility=judge(5000, limit=None))
        infer(head(blocks(right=False), **{SEARCHED: searched}), fine)
        assert infer.findings is not None
        results = infer.findings.results
        entry = results["regions"][0] if searched else results["plausibility"]
        assert (entry["plausible"], entry["limit"]) == (None, None)
        assert entry["distance"] > 5


class TestConfidence:
    """Where the boxes of two regions overlap, the confidence maps have the surer value."""

    @staticmethod
    def unsure(x: torch.Tensor) -> torch.Tensor:
        """Be the surer, the more of the window is bright, so that two boxes differ where they overlap."""
        return fine(x) * (0.01 + x.abs().mean() / 50)

    def test_the_surer_value_counts(self) -> None:
        values = blocks()
        values[:, 48:56] = 0
        options = {"confidence": ["probability", "entropy", "margin"], "preprocessing": None}
        options["finder"] = finder(size_mm=[30, 30, 30])
        both = inferer(**options)(head(values), self.unsure)
        alone = []
        for name, number in (("left", 1), ("right", 2)):
            options["finder"] = finder(size_mm=[30, 30, 30], regions={name: number})
            alone.append(inferer(**options)(head(values), self.unsure)[0])
        inside = (alone[0][1] > 0) & (alone[1][1] > 0)
        assert (alone[0][1:, inside] != alone[1][1:, inside]).any()
        for channel, choose in ((1, torch.maximum), (2, torch.minimum), (3, torch.maximum)):
            assert torch.equal(
                both[0, channel].as_tensor(), choose(alone[0][channel].as_tensor(), alone[1][channel].as_tensor())
            )

    def test_maps_of_a_plain_assembler_are_joined_too(self) -> None:
        assembler = LabelMapAssembler(confidence=["entropy"])
        options = {"label_map": assembler, "plausibility": judge()}
        infer = inferer(**options)
        infer.inferer = SlabInferer([16, 16, 16], assembler=assembler)
        found = infer(head(), fine)
        assert found[0, 1, 24, 40, 12] < 255
        assert found[0, 1, 56, 40, 12] < 255
        assert infer.findings is not None
        assert "features" not in infer.findings.results["regions"][0]


def test_where_two_regions_overlap_the_first_is_kept() -> None:
    values = blocks()
    values[:, 32:48, 32:48, 10:14] = 10
    infer = inferer(finder=finder(size_mm=[99, 99, 99]))
    assert set(infer(head(values), fine).unique().tolist()) == {0, 11}
    assert infer.findings is not None
    assert infer.findings.label_names == {"left": {"block": 11}, "right": {"block": 21}}


class OffCenter(RegionFinder):
    """Find the regions 7 mm too far to the right, where their boxes of 16 mm show a part of the blocks of 8 mm."""

    def __call__(self, image: MetaTensor) -> list[Region]:
        return [
            replace(region, center_mm=(region.center_mm[0] + 7, *region.center_mm[1:]) if region.center_mm else None)
            for region in super().__call__(image)
        ]


@pytest.mark.parametrize("known", [judge(), None])
def test_a_region_cut_by_its_crop_is_segmented_again_around_its_labels(known: Plausibility | None) -> None:
    off_center = OffCenter(
        coarse,
        regions={"left": 1, "right": 2},
        preprocessing=ResampleSpacingd("image", pixdim=[4.0, 4.0, 4.0], antialias=True),
        size_mm=[16, 16, 16],
        largest_crop_mm=[30, 30, 30],
        divisor=1,
        enabled=True,
    )
    complete, again = (inferer(plausibility=known, finder=found)(head(), fine) > 0 for found in (finder(), off_center))
    assert 2 * (complete & again).sum() > 0.9 * (complete.sum() + again.sum())
    assert complete.sum() > 0
