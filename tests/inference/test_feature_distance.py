"""Images that are unlike the training images are flagged; the result is that of the wrapped inferer."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.data import MetaTensor

from bundle.inference import FeatureDistanceInferer, PlannedInferer, Plausibility
from bundle.inference.plausibility import IMAGE, Reference, learn_distribution, write_reference
from bundle.networks import AttentionUNet, TrunkUNet
from bundle.tasks.images import ImageTilesInferer

SIZE = (64, 64)


def network() -> TrunkUNet:
    torch.manual_seed(0)
    return TrunkUNet(2, 3, 1, trunk=("efficientnet_lite0", {"width": 0.25}), channels=(8, 8, 8, 8)).eval()


def image(seed: int, *, brightness: float = 0.0) -> MetaTensor:
    generator = torch.Generator().manual_seed(seed)
    return MetaTensor(
        torch.rand(1, 3, 70, 80, generator=generator) + brightness, meta={"filename_or_obj": f"{seed}.png"}
    )


def run(inferer: FeatureDistanceInferer, picture: torch.Tensor, net: torch.nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return inferer(picture, net)


def planned() -> PlannedInferer:
    return PlannedInferer(ImageTilesInferer(SIZE), plan="fp32")


def features(picture: torch.Tensor, net: torch.nn.Module) -> dict[str, float]:
    measuring = FeatureDistanceInferer(planned(), enabled=True)
    run(measuring, picture, net)
    assert measuring.findings is not None
    return measuring.findings.results["plausibility"]["features"]


@pytest.fixture
def known(tmp_path: Path) -> Plausibility:
    """What is known of weights that were trained on noise."""
    checkpoint, net = tmp_path / "model.pt", network()
    torch.save(net.state_dict(), checkpoint)
    distribution = learn_distribution([features(image(seed), net) for seed in range(30)])
    write_reference(checkpoint, Reference({IMAGE: distribution}))
    return Plausibility(checkpoint, limit=10.0)


def test_an_image_like_those_of_the_training_has_no_flag(known: Plausibility) -> None:
    inferer, net = FeatureDistanceInferer(planned(), plausibility=known), network()
    scores = run(inferer, image(100), net)
    torch.testing.assert_close(scores, run(FeatureDistanceInferer(planned(), enabled=False), image(100), net))
    assert inferer.findings is not None
    entry = inferer.findings.results["plausibility"]
    assert (entry["kind"], entry["plausible"], entry["limit"]) == ("image", True, 10.0)
    assert 0 < entry["distance"] < 10
    assert "features" not in entry
    assert not inferer.findings.flags


def test_an_image_of_another_kind_is_flagged_and_logged(known: Plausibility, caplog: pytest.LogCaptureFixture) -> None:
    inferer = FeatureDistanceInferer(planned(), plausibility=known)
    with caplog.at_level(logging.WARNING):
        run(inferer, image(100, brightness=3.0), network())
    assert inferer.findings is not None
    assert inferer.findings.results["plausibility"]["plausible"] is False
    (flag,) = inferer.findings.flags
    assert flag.startswith("the image is unlike the training images: distance ")
    assert flag.endswith(", limit 10")
    assert caplog.messages == [f"100.png: {flag}"]


def test_without_a_limit_the_distance_is_measured_and_not_judged(known: Plausibility) -> None:
    known.limit = None
    inferer = FeatureDistanceInferer(planned(), plausibility=known)
    run(inferer, image(100, brightness=3.0), network())
    assert inferer.findings is not None
    entry = inferer.findings.results["plausibility"]
    assert entry["distance"] > 10
    assert entry["plausible"] is None
    assert not inferer.findings.flags


@pytest.mark.parametrize("enabled", ["auto", False])
def test_nothing_is_measured_of_weights_whose_training_images_are_unknown(enabled: Any) -> None:
    inferer = FeatureDistanceInferer(planned(), plausibility=Plausibility(None), enabled=enabled)
    run(inferer, image(0), network())
    assert inferer.findings is None
    assert inferer.description is not None


def test_features_are_those_of_the_complete_image_also_where_another_runtime_computes_the_scores() -> None:
    net = network()

    class OtherRuntime(ImageTilesInferer):
        def __call__(self, inputs: torch.Tensor, network: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
            return torch.zeros(1, 1, *inputs.shape[2:])

    other = FeatureDistanceInferer(PlannedInferer(OtherRuntime(SIZE), plan="fp32"), enabled=True)
    run(other, image(1), net)
    assert other.findings is not None
    assert other.findings.results["plausibility"]["features"] == features(image(1), net)
    plain = torch.rand(1, 3, *SIZE)
    run(FeatureDistanceInferer(planned(), enabled=True, plausibility=Plausibility(None)), plain, net)


def test_an_image_without_a_file_is_named_by_a_question_mark(
    known: Plausibility, caplog: pytest.LogCaptureFixture
) -> None:
    run(FeatureDistanceInferer(planned(), plausibility=known), torch.rand(1, 3, *SIZE) + 3, network())
    assert caplog.messages[0].startswith("?: the image is unlike")


def test_a_network_without_a_trunk_has_no_features() -> None:
    plain = AttentionUNet(2, 3, 1, channels=(4, 8), attention="se")
    with pytest.raises(ValueError, match="measure_features needs a network with a trunk, AttentionUNet has none"):
        run(FeatureDistanceInferer(planned(), enabled=True), image(0), plain)
