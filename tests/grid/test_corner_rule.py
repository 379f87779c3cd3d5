"""Labels of cells whose corners agree are not interpolated, and come out as if they were."""

from __future__ import annotations

import pytest
import torch
from helpers.phantoms import noise
from torch.nn import functional

from bundle.grid import corner_rule
from bundle.grid.corner_rule import SlabLabels, confidence, interpolated_labels, label_dtype, winners
from bundle.grid.grids import AlignedGrid


def upsampled(scores: torch.Tensor, factor: int) -> torch.Tensor:
    size = [(count - 1) * factor + 1 for count in scores.shape[1:]]
    return functional.interpolate(scores[None].double(), size=size, mode="trilinear", align_corners=True)[0]


def positions(scores: torch.Tensor, factor: int) -> list[torch.Tensor]:
    return [torch.arange((count - 1) * factor + 1, dtype=torch.float64) / factor for count in scores.shape[1:]]


@pytest.mark.parametrize("classes", [2, 5, 40])
def test_labels_are_the_arg_max_of_upsampled_scores(classes: int) -> None:
    scores = functional.avg_pool3d(torch.as_tensor(noise((classes, 14, 13, 12))), 4, 1)
    found = interpolated_labels(scores, positions(scores, 3))
    best = upsampled(scores, 3).topk(2, dim=0)
    sure = best.values[0] - best.values[1] > 1e-5
    assert sure.float().mean() > 0.99
    assert torch.equal(found[0][sure].long(), best.indices[0][sure])


def test_only_scores_of_cells_whose_corners_disagree_are_interpolated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two half spaces: of 20 layers of cells along the first axis the one between them, with its 4 + 1 planes."""
    count = 0

    def counted(rows: torch.Tensor, *args: object, **kwargs: object) -> torch.Tensor:
        nonlocal count
        count += len(rows)
        return embedding_bag(rows, *args, **kwargs)

    embedding_bag = functional.embedding_bag
    monkeypatch.setattr(functional, "embedding_bag", counted)
    scores = torch.zeros(2, 21, 6, 7)
    scores[1, :9] = 1
    scores[0, 9:] = 0.7
    found = interpolated_labels(scores, positions(scores, 4))
    assert count == 4 * 21 * 25
    plane = 8 + 1 / 1.7
    assert torch.equal(found[0, :, 0, 0] == 1, torch.arange(81) / 4 < plane)


@pytest.mark.parametrize(("layer", "chunk"), [(1, 1), (90, 7), (10**9, 10**9)])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_sizes_of_the_work_do_not_matter(
    layer: int, chunk: int, axis: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = torch.as_tensor(noise((5, 6, 7, 8)))
    found = []
    for sizes in ((2**19, 2**16), (layer, chunk)):
        monkeypatch.setattr(corner_rule, "LAYER", sizes[0])
        monkeypatch.setattr(corner_rule, "CHUNK", sizes[1])
        target = torch.zeros(2, 11, 13, 15, dtype=torch.uint8)
        SlabLabels(AlignedGrid(positions(scores, 2), (6, 7, 8), target, axis=axis), ["margin"]).add(scores)
        found.append(target)
    assert torch.equal(*found)


@pytest.mark.parametrize("classes", [1, 2, 25, 255, 256, 300])
def test_winners_are_the_first_classes_of_the_largest_score(classes: int) -> None:
    scores = torch.randint(0, 4, (classes, 5, 6, 7), generator=torch.Generator().manual_seed(0)).float()
    assert torch.equal(winners(scores).long(), scores.argmax(0))
    assert torch.equal(winners(scores.half().transpose(1, 3)).long(), scores.transpose(1, 3).argmax(0))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("place", [0, 2])
def test_scores_that_are_not_finite_are_refused(value: float, place: int) -> None:
    scores = torch.zeros(3, 4, 5, 6)
    scores[place, 2, 3, 4] = value
    with pytest.raises(ValueError, match="scores of the network are not finite"):
        winners(scores)


@pytest.mark.parametrize(
    ("classes", "dtype"),
    [(2, torch.uint8), (256, torch.uint8), (257, torch.int16), (32768, torch.int16), (32769, torch.int32)],
)
def test_labels_have_the_smallest_type_that_holds_them(classes: int, dtype: torch.dtype) -> None:
    assert label_dtype(classes) == dtype


def test_a_sure_and_an_unsure_voxel_have_the_known_confidence() -> None:
    scores = torch.tensor([[100.0, 0, 0, 0], [1, 1, 1, 1], [50, 50, 0, 0]])
    probability, margin, entropy = confidence(scores, ["probability", "margin", "entropy"])
    assert probability.tolist() == [255, 64, 128]
    assert margin.tolist() == [255, 0, 0]
    assert entropy.tolist() == [0, 255, 128]
    assert confidence(scores, []) == []
