"""An image is judged by the distance of its features from those of the training images."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from bundle.inference.judge_image import judge_image
from bundle.inference.plausibility import IMAGE, FeatureDistribution, Plausibility, Reference, write_reference


@pytest.fixture
def known(tmp_path: Path) -> Plausibility:
    """Training images whose two features have the mean 1 and the standard deviation 0.1."""
    checkpoint = tmp_path / "model.pt"
    checkpoint.write_bytes(b"weights")
    names = ["channel_0", "channel_1"]
    distribution = FeatureDistribution(9, names, [1.0, 1.0], [[0.01, 0.0], [0.0, 0.01]])
    write_reference(checkpoint, Reference({IMAGE: distribution}))
    return Plausibility(checkpoint, limit=5.0)


def test_the_distance_is_in_standard_deviations(known: Plausibility) -> None:
    found = judge_image([1.3, 1.4], known, file="a.png", writes_features=True)
    entry = found.results["plausibility"]
    assert entry == {
        **{"kind": "image", "plausible": True, "distance": 5.0, "limit": 5.0},
        "features": {"channel_0": 1.3, "channel_1": 1.4},
    }
    assert not found.flags


def test_an_image_beyond_the_limit_is_flagged_and_logged(known: Plausibility, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        found = judge_image([1.6, 1.8], known, file="a.png")
    assert found.flags == ["the image is unlike the training images: distance 10, limit 5"]
    assert caplog.messages == [f"a.png: {found.flags[0]}"]


def test_unknown_training_images_judge_nothing() -> None:
    entry = judge_image([1.0], None, file="a.png").results["plausibility"]
    assert (entry["plausible"], entry["distance"], entry["limit"]) == (None, None, None)
