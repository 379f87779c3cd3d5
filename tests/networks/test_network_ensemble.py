"""Several networks of one architecture as one."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from bundle.networks.network_ensemble import NetworkEnsemble


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv3d(1, 2, 3, padding=1), nn.PReLU(), nn.Conv3d(2, 3, 1))


def test_scores_are_the_mean_of_those_of_the_members() -> None:
    members = [network(seed) for seed in range(3)]
    ensemble = NetworkEnsemble(network(9), 3)
    ensemble.load_state_dict(NetworkEnsemble.join([member.state_dict() for member in members]))
    image = torch.rand(2, 1, 4, 5, 6)
    expected = torch.stack([member.double()(image.double()) for member in members]).mean(0)
    torch.testing.assert_close(ensemble(image), expected.float())


def test_an_ensemble_of_one_is_that_network() -> None:
    image, member = torch.rand(1, 1, 4, 4, 4), network()
    assert torch.equal(NetworkEnsemble(member, 1)(image), member(image))


def test_members_have_weights_of_their_own() -> None:
    ensemble = NetworkEnsemble(network(), 2)
    with torch.no_grad():
        ensemble.members[0][0].weight.zero_()
    assert ensemble.members[1][0].weight.abs().sum() > 0


def test_an_ensemble_can_be_scripted() -> None:
    ensemble, image = NetworkEnsemble(network(), 2), torch.rand(1, 1, 4, 4, 4)
    torch.testing.assert_close(torch.jit.script(ensemble)(image), ensemble(image))


def test_no_member_is_refused() -> None:
    with pytest.raises(ValueError, match="count must be at least 1, got 0"):
        NetworkEnsemble(network(), 0)
