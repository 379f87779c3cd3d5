"""Weights for the tests of cohorts."""

from __future__ import annotations

import pytest
from helpers.workflows import save_small_weights


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Weights of the small network that answer to intensities, so that label maps are not empty."""
    return save_small_weights(tmp_path_factory.mktemp("weights"))
