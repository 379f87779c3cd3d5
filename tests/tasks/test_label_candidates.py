"""Candidates from heat maps of slabs, and discs from candidates."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from torch import nn

from bundle.networks import CandidateNet
from bundle.tasks.spine.discs import Candidates, make_heatmaps
from bundle.tasks.spine.label_candidates import AssignLevelsd, LabelCandidatesd, strongest
from bundle.tasks.spine.sagittal_slab import SLAB_POSITIONS
from bundle.utils.describe import describe
from bundle.utils.errors import BundleError

LEVELS = (20, 21, 22, 23, 24, 25)
SPACING = 1.5
ORIGIN = np.array([-2.0, -80.0, -310.0])
PLACES = {
    value: ORIGIN + np.array([0.0, 60.0 + (value - 22) ** 2, 200.0 - 30.0 * (value - 20)]) for value in range(21, 26)
}


class ScoreNetwork(nn.Module):
    """A network that predicts the scores."""

    def __init__(self, levels: int = 6) -> None:
        super().__init__()
        self.features, self.out_channels = levels, levels + 1
        self.sharpness = nn.Parameter(torch.tensor(10.0))
        self.seen: list[torch.Tensor] = []

    def forward(self, points: torch.Tensor, mask: torch.Tensor | None, features: torch.Tensor) -> torch.Tensor:
        self.seen.append(points[0])
        return self.sharpness * torch.cat([features, torch.full_like(features[..., :1], 0.3)], dim=-1)


def slabs_of(places: dict[int, np.ndarray], positions: tuple[float, ...] = (-6.0, 0.0, 6.0)) -> dict:
    """Return slabs and the maps that a perfect network would give for them."""
    affine = np.diag([6.0, SPACING, SPACING, 1.0])
    affine[:3, 3] = ORIGIN
    pixels, lateral = np.full((len(LEVELS), 2), np.nan), np.zeros(len(LEVELS))
    for value, place in places.items():
        pixels[value - 20] = (place[1:] - ORIGIN[1:]) / SPACING
        lateral[value - 20] = place[0] - ORIGIN[0]
    maps = [
        make_heatmaps(pixels, (24, 40), sigma=4, stride=4, amplitude=np.exp(-(((lateral - r) / 8) ** 2) / 2))
        for r in positions
    ]
    image = MetaTensor(torch.zeros(len(positions), 1, 96, 160), affine=torch.as_tensor(affine))
    image.meta[SLAB_POSITIONS] = torch.tensor(positions)
    return {"image": image, "pred": torch.stack(maps)}


def label(case: dict, network: nn.Module | None = None, **options: float) -> list:
    return LabelCandidatesd("pred", network=network or ScoreNetwork(), first_level=20, **options)(case)["discs"]


@pytest.mark.parametrize("option", [{"lumbar_vertebrae": 6}, {"thoracic_vertebrae": 13}])
def test_other_numbers_of_vertebrae_are_refused(option: dict[str, int]) -> None:
    (name,) = option
    with pytest.raises(
        BundleError, match=rf"knows 12 thoracic and 5 .*{name}={option[name]}.*without networks/candidates"
    ):
        LabelCandidatesd("pred", network=ScoreNetwork(), **option)


def test_perfect_maps_give_every_disc_in_its_place_with_its_probability() -> None:
    found = label(slabs_of(PLACES))
    assert [disc.value for disc in found] == [21, 22, 23, 24, 25]
    for disc in found:
        np.testing.assert_allclose(disc.position, PLACES[disc.value], atol=0.4)
        assert 0.9 < disc.confidence <= 1


def test_the_network_sees_mm_along_the_axes_of_the_slabs() -> None:
    network = ScoreNetwork()
    label(slabs_of(PLACES), network)
    seen = sorted(network.seen[0].tolist(), key=lambda place: -place[1])
    np.testing.assert_allclose(seen, [(place - ORIGIN)[1:] for place in PLACES.values()], atol=0.4)


def test_a_disc_next_to_the_plane_is_placed_between_left_and_right() -> None:
    lateral = {value: place + np.array([6.0, 0.0, 0.0]) for value, place in PLACES.items()}
    found = label(slabs_of(lateral, (-12.0, -6.0, 0.0, 6.0, 12.0)))
    assert all(abs(disc.position[0] - (ORIGIN[0] + 6.0)) < 1.5 for disc in found)


def test_levels_are_unique_and_in_order_when_the_maps_do_not() -> None:
    case = slabs_of(PLACES)
    case["pred"] = torch.cat([case["pred"], 0.9 * case["pred"].roll(1, dims=1)]).flip(1)
    found = label(slabs_of(PLACES) | {"pred": case["pred"][:3]})
    assert len(found) == 1
    twice = slabs_of(PLACES)
    twice["pred"][:, 3] += 0.8 * twice["pred"][:, 1]
    assert [disc.value for disc in label(twice)] == [21, 22, 23, 24, 25]


def test_discs_with_a_response_of_two_levels_are_one_candidate() -> None:
    case, network = slabs_of(PLACES), ScoreNetwork()
    case["pred"] = torch.maximum(case["pred"], 0.7 * case["pred"].roll(-1, dims=1))
    label(case, network)
    assert len(network.seen[0]) == 5


def test_maps_without_a_response_give_no_disc() -> None:
    assert label(slabs_of({})) == []
    assert label(slabs_of({}), CandidateNet(2, 7, width=8, depth=1, heads=2)) == []


def test_a_network_of_coordinates_gets_only_these() -> None:
    network = CandidateNet(2, 7, width=8, depth=1, heads=2)
    values = [disc.value for disc in label(slabs_of(PLACES), network)]
    assert values == sorted(set(values))


@pytest.mark.parametrize("network", [CandidateNet(2, 6, width=8, heads=2), CandidateNet(2, 7, features=3, width=8)])
def test_a_network_of_other_levels_is_refused(network: nn.Module) -> None:
    with pytest.raises(ValueError, match="do not fit 6 heat maps: it needs 7 outputs, and 6 features or none"):
        label(slabs_of(PLACES), network)


def test_a_missing_key_may_be_allowed() -> None:
    assert LabelCandidatesd("pred", network=ScoreNetwork(), allow_missing_keys=True)({"a": 1}) == {"a": 1}
    assert AssignLevelsd("pred", allow_missing_keys=True)({"a": 1}) == {"a": 1}


def test_another_network_is_another_setting_for_a_resumed_run() -> None:
    networks = [CandidateNet(2, 7, width=8, depth=1, heads=2) for _ in range(2)]
    networks.append(CandidateNet(2, 7, width=8, depth=1, heads=2))
    networks[2].load_state_dict(networks[0].state_dict())
    described = [describe([LabelCandidatesd("pred", network=network)]) for network in networks]
    assert described[0] == described[2] != described[1]


def test_the_highest_of_close_candidates_is_kept() -> None:
    channels = [
        Candidates(np.array([[0.0, 0.0], [0.0, 20.0]]), np.array([0.5, 0.9])),
        Candidates(np.empty((0, 2)), np.empty(0)),
        Candidates(np.array([[3.0, 4.0], [0.0, 14.0]]), np.array([0.8, 0.3])),
    ]
    positions, numbers = strongest(channels, 5.5)
    assert positions.tolist() == [[0.0, 20.0], [3.0, 4.0], [0.0, 14.0]]
    assert numbers.tolist() == [0, 2, 2]
    assert len(strongest(channels, 5.0)[0]) == 4
    assert strongest(channels[1:2], 5.0)[0].shape == (0, 2)


def test_logits_of_a_set_become_discs_and_masked_places_do_not() -> None:
    logits = torch.full((4, 7), -5.0)
    logits[[0, 1, 2, 3], [3, 6, 1, 2]] = 5.0
    data = {
        "pred": logits,
        "image": torch.tensor([[1.0, -60.0], [9.0, -30.0], [2.0, 0.0], [0.0, 0.0]]),
        "mask": torch.tensor([True, True, True, False]),
    }
    found = AssignLevelsd("pred", first_level=20)(data)["discs"]
    assert [(disc.value, disc.position) for disc in found] == [(21, (0.0, 2.0, 0.0)), (23, (0.0, 1.0, -60.0))]


def test_the_numbering_leads_the_best_one_with_other_levels() -> None:
    decode = LabelCandidatesd("pred", network=ScoreNetwork(), first_level=20)
    clear = decode(slabs_of(PLACES))["numbering"]
    assert clear.probability > 0.999
    case = slabs_of(PLACES)
    case["pred"] = torch.maximum(case["pred"], case["pred"].roll(-1, dims=1) * 0.98)
    assert 0.5 <= decode(case)["numbering"].probability < 0.99
    empty = {**case, "pred": torch.zeros_like(case["pred"])}
    assert decode(empty)["numbering"] is None
