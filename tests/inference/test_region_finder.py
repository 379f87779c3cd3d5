"""Regions that a network finds on a coarse grid."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.phantoms import meta_tensor
from monai.data import MetaTensor

from bundle.inference import Plausibility, load_finder
from bundle.inference.found_regions import Region
from bundle.inference.plausibility import CROP, REGION, FeatureDistribution
from bundle.inference.region_finder import RegionFinder, extent_mm, region_box
from bundle.io.input_checks import BadInputError
from bundle.networks import WeightsError
from bundle.utils.describe import describe

REGIONS = {"left": 1, "right": 2}
OBLIQUE = np.array([[0.0, -2, 0, 50], [3, 0, 0, -20], [0, 0, 4, 7], [0, 0, 0, 1]])


class ByValue(torch.nn.Module):
    """Scores by the value of a voxel: class 1 at 1, class 2 at 2; the shapes that it saw."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: list[tuple[int, ...]] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        assert not self.training
        self.shapes.append(tuple(x.shape))
        return torch.cat([5 - 10 * (x - value).abs() for value in (0, 1, 2)], dim=1)


def nothing(data: Mapping[Any, Any]) -> Mapping[Any, Any]:
    return data


def finder(network: Any = None, **options: Any) -> RegionFinder:
    settings = {"regions": REGIONS, "preprocessing": nothing, "size_mm": [8, 8, 8], "largest_crop_mm": [16, 16, 16]}
    return RegionFinder(network or ByValue(), **{**settings, **options})


def knowing(*kinds: str) -> Plausibility:
    """Return what knows results of some kinds."""
    plausibility = Plausibility(None)
    plausibility.distributions = {kind: FeatureDistribution(3, ["volume_mm3"], [9.0], [[1.0]]) for kind in kinds}
    return plausibility


def two_regions() -> MetaTensor:
    """Return an image with a box and a smaller one of class 1, and a box at the border of class 2."""
    image = torch.zeros(1, 20, 18, 17)
    image[..., 3:7, 4:6, 5:8] = 1
    image[..., 12, 12, 12] = 1
    image[..., 17:20, 4:8, 5:8] = 2
    return meta_tensor(image, affine=OBLIQUE)


def test_a_region_is_the_largest_component_in_world_coordinates() -> None:
    network = ByValue()
    left, right = finder(network)(two_regions())
    assert left.center_mm == tuple(OBLIQUE[:3] @ [4.5, 4.5, 6, 1])
    assert left.volume_mm3 == 4 * 2 * 3 * 24
    assert (left.found, left.cut, right.found, right.cut) == (True, False, True, True)
    assert left.probability > 0.99
    assert network.shapes == [(1, 1, 32, 32, 32)]


def test_a_region_that_is_not_there_is_missing() -> None:
    image = two_regions()
    image[image == 2] = 0
    _, right = finder()(image)
    assert right == Region("right")
    assert right.to_json() == {"name": "right", "found": False}


def test_the_json_of_a_region_has_what_the_finder_measured() -> None:
    _, right = finder()(two_regions())
    assert right.to_json() == {
        "name": "right",
        "found": True,
        "center_mm": tuple(OBLIQUE[:3] @ [18, 5.5, 6, 1]),
        "cut": True,
        "finder": {"volume_mm3": 3 * 4 * 3 * 24.0, "probability": right.probability},
    }


def test_a_small_component_is_none() -> None:
    assert [region.found for region in finder(min_volume_mm3=700)(two_regions())] == [False, True]


def test_the_network_sees_the_preprocessed_image() -> None:
    def doubled(data: Mapping[Any, Any]) -> dict[Any, Any]:
        return {"image": data["image"] * 2}

    left, right = finder(preprocessing=doubled, divisor=1)(two_regions())
    assert right.center_mm == tuple(OBLIQUE[:3] @ [18, 5.5, 6, 1])
    assert not left.found


def test_an_image_of_several_channels_is_refused() -> None:
    image = MetaTensor(torch.zeros(2, 8, 8, 8), meta={"filename_or_obj": "mri.nii.gz"})
    with pytest.raises(BadInputError, match=r"mri\.nii\.gz: has 2 channels.*--find_regions false"):
        finder()(image)


def test_without_a_region_there_is_nothing_to_find() -> None:
    with pytest.raises(ValueError, match="regions must name at least one region"):
        finder(regions={})


def test_the_extent_is_in_mm() -> None:
    assert extent_mm(two_regions()) == [60.0, 36.0, 68.0]


def test_a_box_has_its_size_in_mm_and_ends_at_the_border() -> None:
    image = two_regions()
    center = OBLIQUE[:3] @ [10, 9, 8, 1]
    assert region_box(image, center, [12, 8, 16]) == (slice(8, 13), slice(7, 12), slice(6, 11))
    corner = OBLIQUE[:3] @ [0, 17, 8, 1]
    assert region_box(image, corner, [12, 8, 16]) == (slice(0, 3), slice(15, 18), slice(6, 11))


@pytest.mark.parametrize("shift", [0.0, 0.3, 0.5, 0.9])
def test_a_box_is_never_larger_than_asked(shift: float) -> None:
    image = meta_tensor(torch.zeros(1, 100, 90, 80))[None]
    box = region_box(image, [50 + shift, 40 - shift, 40 + shift], [39, 55, 39])
    assert all(part.stop - part.start - 1 <= size for part, size in zip(box, (39, 55, 39), strict=True))


def test_an_image_is_searched_if_one_side_is_longer_than_that_of_a_crop() -> None:
    for largest, searched in (([60, 36, 68], False), ([60, 35, 68], True), ([59, 36, 68], True)):
        assert finder(enabled=True, largest_crop_mm=largest).is_searched(two_regions()) is searched


@pytest.mark.parametrize(
    ("enabled", "kinds", "searched"),
    [
        ("auto", [CROP, REGION], True),
        ("auto", [CROP], False),
        ("true", [], True),
        (True, [CROP], True),
        ("false", [CROP, REGION], False),
        (False, [REGION], False),
    ],
)
def test_regions_are_searched_where_their_results_are_known_or_on_request(
    enabled: Any, kinds: list[str], searched: bool
) -> None:
    assert finder(enabled=enabled, plausibility=knowing(*kinds)).is_searched(two_regions()) is searched


def test_without_plausible_results_nothing_is_searched() -> None:
    assert not finder().is_searched(two_regions())


def test_another_value_of_find_regions_is_refused() -> None:
    with pytest.raises(ValueError, match="find_regions must be auto, true or false, got 'left'"):
        finder(enabled="left")


@pytest.mark.parametrize("value", [None, "null", [1, 2], [1, 2, 0], [1, 2, "3"], 39])
@pytest.mark.parametrize(("option", "name"), [("size_mm", "region_size_mm"), ("largest_crop_mm", "largest_crop_mm")])
def test_sizes_are_three_positive_numbers(option: str, name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"{name} must be three positive sizes in mm, got"):
        finder(**{option: value})


class TestWeights:
    """The weights of a finder are needed only if regions are searched."""

    def load(self, checkpoint: Any, **options: Any) -> RegionFinder:
        settings = {"regions": REGIONS, "preprocessing": nothing, "size_mm": [8] * 3, "largest_crop_mm": [16] * 3}
        return load_finder(torch.nn.Conv3d(1, 3, 1), checkpoint=checkpoint, **{**settings, **options})

    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        torch.save(torch.nn.Conv3d(1, 3, 1).state_dict(), tmp_path / "finder.pt")
        return tmp_path / "finder.pt"

    @pytest.mark.parametrize("options", [{"enabled": True}, {"plausibility": knowing(REGION)}])
    def test_they_are_those_of_the_file(self, options: dict[str, Any], file: Path) -> None:
        found = self.load(file, **options)
        assert isinstance(found.network, torch.nn.Module)
        assert not found.network.training
        for name, value in torch.load(file, weights_only=True).items():
            assert torch.equal(found.network.state_dict()[name], value)
        assert found.weights == hashlib.sha256(file.read_bytes()).hexdigest()

    def test_another_file_is_another_setting(self, tmp_path: Path) -> None:
        described = []
        for _ in range(2):
            torch.save(torch.nn.Conv3d(1, 3, 1).state_dict(), tmp_path / "finder.pt")
            described.append(describe(self.load(tmp_path / "finder.pt", enabled=True)))
        assert described[0] != described[1]

    @pytest.mark.parametrize("enabled", ["auto", False])
    def test_a_missing_file_is_no_error_without_a_search(self, enabled: Any, tmp_path: Path) -> None:
        assert not self.load(tmp_path / "none.pt", enabled=enabled).enabled

    def test_a_missing_file_is_an_error_with_a_search(self, tmp_path: Path) -> None:
        with pytest.raises(
            WeightsError, match=r"^finder_checkpoint .*none\.pt does not exist; pass --finder_checkpoint"
        ):
            self.load(tmp_path / "none.pt", enabled=True)

    @pytest.mark.parametrize("checkpoint", [None, "null", "None"])
    def test_no_file_is_no_search(self, checkpoint: Any) -> None:
        assert not self.load(checkpoint, plausibility=knowing(REGION)).enabled
        assert not self.load(checkpoint, enabled="false").enabled

    def test_a_search_on_request_needs_a_file(self) -> None:
        with pytest.raises(ValueError, match="find_regions must not be true without finder_checkpoint"):
            self.load(None, enabled="true")

    def test_weights_of_another_network_are_refused(self, tmp_path: Path) -> None:
        torch.save(torch.nn.Conv3d(2, 3, 1).state_dict(), tmp_path / "finder.pt")
        with pytest.raises(WeightsError, match=r"of another network than finder_network_def.*--finder_checkpoint FILE"):
            self.load(tmp_path / "finder.pt", enabled=True)
