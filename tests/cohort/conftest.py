"""Weights for the tests of cohorts."""

from __future__ import annotations

import pytest
import torch
from helpers.workflows import SMALL

from bundle.networks import AttentionUNet


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Weights of the small network that answer to intensities, so that label maps are not empty."""
    torch.manual_seed(5)
    network = AttentionUNet(3, 1, 3, channels=SMALL["network_def#channels"], spatial_size=SMALL["roi_size"])
    path = tmp_path_factory.mktemp("weights") / "model.pt"
    torch.save(network.state_dict(), path)
    return str(path)
