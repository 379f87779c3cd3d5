"""CropAverageInferer returns one score per image: the mean of the logits of fixed crops."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from bundle.tasks.classification import CropAverageInferer

RAMP = torch.arange(100.0).repeat(3, 80, 1)[None]
"""A image (1, 3, 80, 100) whose values are its columns."""


class Mean:
    """A stand-in for a network: the mean of what it sees, and its largest value."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def __call__(self, parts: torch.Tensor, factor: float = 1.0) -> torch.Tensor:
        assert parts.shape[1:] == (3, 16, 16)
        self.batches.append(len(parts))
        return factor * torch.stack([parts.mean((1, 2, 3)), parts.amax((1, 2, 3))], dim=1)


def test_nine_crops_are_cut_by_default_in_the_middle_of_the_image() -> None:
    boxes = list(CropAverageInferer((16, 16)).boxes((80, 100)))
    assert len(boxes) == 9
    assert boxes[0] == (slice(0, 80), slice(0, 100))
    assert boxes[1:3] == [(slice(30, 46), slice(37, 57)), (slice(34, 50), slice(42, 62))]
    assert boxes[3:5] == [(slice(20, 52), slice(35, 75)), (slice(28, 60), slice(25, 65))]
    assert boxes[7:] == [(slice(0, 64), slice(20, 100)), (slice(16, 80), slice(0, 80))]


def test_the_score_is_the_mean_over_the_crops() -> None:
    inferer = CropAverageInferer((16, 16), sw_batch_size=4)
    network = Mean()
    images = torch.cat([RAMP, 2 * RAMP, torch.rand(RAMP.shape, generator=torch.Generator().manual_seed(0))])
    scores = inferer(images, network)
    assert network.batches == [4, 4, 4, 4, 4, 4, 3]
    boxes = list(inferer.boxes((80, 100)))
    for image, score in zip(images, scores, strict=True):
        means = [float(image[(slice(None), *box)].mean()) for box in boxes]
        assert float(score[0]) == pytest.approx(sum(means) / 9, rel=0.01)
    torch.testing.assert_close(scores[1], 2 * scores[0])
    assert scores[0, 0] < scores[0, 1] < 100


def test_the_example_is_the_first_crop_as_the_network_gets_it() -> None:
    seen: list[torch.Tensor] = []
    inferer = CropAverageInferer((16, 16))
    inferer(RAMP, lambda parts: seen.append(parts) or torch.zeros(len(parts), 2))
    torch.testing.assert_close(inferer.example(RAMP), seen[0][:1])


def test_mirrored_crops_are_averaged_with_the_others() -> None:
    class Left:
        def __call__(self, parts: torch.Tensor) -> torch.Tensor:
            return parts[..., : parts.shape[-1] // 2].mean((1, 2, 3))[:, None]

    plain, both = (CropAverageInferer((16, 16), scales=[], mirror=mirror)(RAMP, Left()) for mirror in (False, True))
    flipped = CropAverageInferer((16, 16), scales=[])(RAMP.flip(-1), Left())
    torch.testing.assert_close(both, (plain + flipped) / 2)
    assert float(flipped) > float(plain)


def test_one_crop_a_scale_lies_in_the_middle() -> None:
    inferer = CropAverageInferer((16, 16), scales=[0.5], crops=1, whole=False)
    assert list(inferer.boxes((80, 100))) == [(slice(20, 60), slice(25, 75))]
    assert inferer(RAMP, Mean(), factor=2)[0, 0] == pytest.approx(2 * 49.5, rel=1e-3)


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (7, 500)])
def test_crops_lie_within_images_of_any_size(size: tuple[int, int]) -> None:
    for rows, columns in CropAverageInferer((16, 16), crops=3, jitter=1.0).boxes(size):
        assert 0 <= rows.start < rows.stop <= size[0]
        assert 0 <= columns.start < columns.stop <= size[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"spatial_size": (16, 0)}, r"got \[16, 0\] and 16"),
        ({"sw_batch_size": 0}, "sw_batch_size one"),
        ({"scales": [1.2]}, r"scales must lie in \(0, 1\]"),
        ({"jitter": -0.1}, "jitter be negative"),
        ({"crops": 0, "whole": False}, "at least one scale and one crop are needed"),
        ({"scales": [], "whole": False}, "at least one scale and one crop are needed"),
    ],
)
def test_invalid_arguments_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CropAverageInferer(**{"spatial_size": (16, 16), **options})


def test_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(B, C, H, W\), got \(3, 80, 100\)"):
        CropAverageInferer((16, 16))(RAMP[0], Mean())
