"""Classifier of candidate points."""

from __future__ import annotations

import statistics
from typing import Any

import pytest
import torch

from bundle.networks import CandidateNet
from bundle.networks.candidate_net import normalize_candidates

NAN = float("nan")


def build(**options: Any) -> CandidateNet:
    """Build a small network in double precision."""
    torch.manual_seed(0)
    return CandidateNet(2, 6, **{"width": 16, "depth": 2, "heads": 2, **options}).double().eval()


def candidates(count: int, batch: int = 1, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 80 * torch.randn(batch, count, 2, generator=generator, dtype=torch.float64) + 30


@pytest.mark.parametrize("count", [2, 7, 20, 31])
def test_logits_follow_the_order_of_the_candidates(count: int) -> None:
    network, points = build(features=3), candidates(count, batch=2)
    features = torch.randn(2, count, 3, dtype=torch.float64)
    order = torch.randperm(count, generator=torch.Generator().manual_seed(1))
    shuffled = network(points[:, order], features=features[:, order])
    torch.testing.assert_close(shuffled, network(points, features=features)[:, order], rtol=0, atol=1e-12)


@pytest.mark.parametrize("filling", [0.0, 1e6, NAN])
def test_masked_candidates_change_nothing(filling: float) -> None:
    network, points = build(features=1), candidates(5)
    features = torch.randn(1, 5, 1, dtype=torch.float64)
    more = torch.cat([points, torch.full((1, 4, 2), filling, dtype=torch.float64)], 1)
    more_features = torch.cat([features, torch.full((1, 4, 1), filling, dtype=torch.float64)], 1)
    mask = torch.tensor([[True] * 5 + [False] * 4])
    logits = network(more, mask, more_features)
    torch.testing.assert_close(logits[:, :5], network(points, features=features), rtol=0, atol=1e-12)


def test_samples_of_a_batch_do_not_see_one_another() -> None:
    network, points = build(), candidates(6, batch=3)
    single = torch.cat([network(points[index : index + 1]) for index in range(3)])
    torch.testing.assert_close(network(points), single, rtol=0, atol=1e-12)


def test_masked_candidate_is_none_with_certainty_and_has_no_gradient() -> None:
    network, points = build(), candidates(3, batch=2).requires_grad_()
    mask = torch.tensor([[True, True, False], [False, False, False]])
    logits = network(points, mask)
    assert logits.isfinite().all()
    assert logits[~mask].argmax(-1).eq(5).all()
    assert logits[~mask].softmax(-1)[:, 5].eq(1).all()
    torch.nn.functional.cross_entropy(logits.flatten(0, 1), torch.tensor([1, 2, 5, 5, 5, 5])).backward()
    for tensor in (points, *network.parameters()):
        assert tensor.grad.isfinite().all()
    assert not points.grad[~mask].any()


def test_no_candidate_at_all_has_no_logits() -> None:
    assert build()(torch.empty(2, 0, 2, dtype=torch.float64)).shape == (2, 0, 6)


def test_single_candidate_has_finite_logits_wherever_it_lies() -> None:
    network = build()
    logits = network(candidates(1))
    assert logits.shape == (1, 1, 6)
    assert logits.isfinite().all()
    torch.testing.assert_close(network(candidates(1, seed=5)), logits)


def test_logits_do_not_depend_on_where_the_patient_lies() -> None:
    network, points = build(), candidates(9)
    torch.testing.assert_close(network(points + torch.tensor([120.0, -350.0])), network(points), rtol=0, atol=1e-9)


def test_scale_matters_where_the_network_is_metric_alone() -> None:
    points = candidates(9)
    free, metric = build(metric=False), build()
    torch.testing.assert_close(free(1.3 * points), free(points), rtol=0, atol=1e-9)
    assert not torch.allclose(metric(1.3 * points), metric(points))


@pytest.mark.parametrize("count", [1, 4, 9])
def test_candidates_are_normalized_by_their_own_medians(count: int) -> None:
    points = candidates(count)
    places, spread = normalize_candidates(points, torch.ones(1, count, dtype=torch.bool))
    center = [statistics.median_low(points[0, :, axis].tolist()) for axis in range(2)]
    offsets = [[p - c for p, c in zip(point, center, strict=True)] for point in points[0].tolist()]
    expected = max(statistics.median_low([(a * a + b * b) ** 0.5 for a, b in offsets]), 1.0)
    assert spread.item() == pytest.approx(expected)
    assert places[0].tolist() == [pytest.approx([value / expected for value in offset]) for offset in offsets]


def test_outlier_hardly_moves_the_others() -> None:
    points, mask = candidates(11), torch.ones(1, 11, dtype=torch.bool)
    before = normalize_candidates(points, mask)[0]
    points[0, 0] = torch.tensor([9000.0, -9000.0])
    after = normalize_candidates(points, mask)[0]
    assert (before - after)[0, 1:].abs().max() < 1.0


def test_levels_of_a_spine_are_learned_in_any_order() -> None:
    torch.manual_seed(0)
    network = CandidateNet(2, 6, width=16, depth=1, heads=2)
    levels = torch.arange(6)
    places = torch.stack([10.0 * (levels == 5), -30.0 * levels], dim=-1)[None]
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    for _ in range(60):
        order = torch.randperm(6)
        loss = torch.nn.functional.cross_entropy(network(places[:, order])[0], levels[order])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert network(places.flip(1))[0].argmax(-1).tolist() == [5, 4, 3, 2, 1, 0]


def test_half_precision_autocast_runs() -> None:
    network, points = build().float(), candidates(7).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = network(points, torch.tensor([[True] * 5 + [False] * 2]))
    assert logits.isfinite().all()
    torch.testing.assert_close(logits[:, :5].float(), network(points[:, :5]), rtol=0.1, atol=0.1)


def test_weights_carry_to_another_number_of_candidates() -> None:
    network = build()
    network.load_state_dict(build().state_dict())
    assert network(candidates(40)).shape == (1, 40, 6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"points": torch.zeros(1, 4, 3)}, r"points must be \(B, N, 2\), got \(1, 4, 3\)"),
        ({"points": torch.zeros(4, 2)}, r"points must be \(B, N, 2\), got \(4, 2\)"),
        ({"mask": torch.ones(1, 3, dtype=torch.bool)}, r"mask must be boolean \(1, 4\), got torch.bool \(1, 3\)"),
        ({"mask": torch.ones(1, 4)}, r"mask must be boolean \(1, 4\), got torch.float32"),
        ({"features": None}, r"features must be \(1, 4, 2\), got None"),
        ({"features": torch.zeros(1, 4, 5)}, r"features must be \(1, 4, 2\), got \(1, 4, 5\)"),
        ({"features": torch.zeros(1, 5, 2)}, r"features must be \(1, 4, 2\), got \(1, 5, 2\)"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(arguments: dict, message: str) -> None:
    given = {"points": torch.zeros(1, 4, 2), "features": torch.zeros(1, 4, 2), **arguments}
    with pytest.raises(ValueError, match=message):
        build(features=2).float()(**given)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("in_channels", 0),
        ("out_channels", 1),
        ("features", -1),
        ("width", 0),
        ("width", 15),
        ("depth", 0),
        ("heads", 0),
    ],
)
def test_bad_option_is_refused_by_its_name(option: str, value: int) -> None:
    options = {"in_channels": 2, "out_channels": 6, "heads": 2, option: value}
    with pytest.raises(ValueError, match=f"^{option} must be"):
        CandidateNet(options.pop("in_channels"), options.pop("out_channels"), **options)
