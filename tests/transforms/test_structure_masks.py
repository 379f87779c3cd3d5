"""Masks of structures, of exclusive classes as MONAI makes them and of regions by their definition."""

from __future__ import annotations

import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import AsDiscreted

from bundle.transforms import MakeStructureMasksd

REGIONS = {"whole": [1, 2], "core": [2]}


def case(channels: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(channels, 4, 5, 6, generator=generator)
    label = torch.randint(0, 3, (1, 4, 5, 6), generator=generator).float()
    return {"pred": MetaTensor(scores, affine=torch.diag(torch.tensor([2.0, 1, 1, 1]))), "label": label}


def test_masks_of_exclusive_classes_are_those_of_monai() -> None:
    data = case(3)
    expected = AsDiscreted(["pred", "label"], argmax=[True, False], to_onehot=3)(data)
    found = MakeStructureMasksd(["pred", "label"], classes=3)(data)
    for key in ("pred", "label"):
        assert torch.equal(torch.as_tensor(found[key]), torch.as_tensor(expected[key]))
    assert float(found["pred"].affine[0, 0]) == 2


def test_regions_are_in_or_out_by_themselves_and_the_background_is_the_rest() -> None:
    data = case(2)
    found = MakeStructureMasksd(["pred", "label"], regions=REGIONS)(data)
    scores, label = data["pred"].as_tensor(), data["label"][0]
    rest = (scores <= 0).all(0)
    assert torch.equal(found["pred"].as_tensor(), torch.stack([rest, scores[0] > 0, scores[1] > 0]).float())
    assert torch.equal(found["label"], torch.stack([label == 0, label >= 1, label == 2]).float())


def test_a_missing_key_is_passed_over_on_request() -> None:
    data = {"pred": case(3)["pred"]}
    assert set(MakeStructureMasksd(["pred", "label"], classes=3, allow_missing_keys=True)(data)) == {"pred"}


@pytest.mark.parametrize("regions", [None, {"whole": [1, 2], "core": [2]}])
def test_voxels_that_the_label_ignores_are_in_no_mask(regions: dict | None) -> None:
    label = torch.tensor([[[[0, 1], [2, -1]]]]).float()
    scores = torch.full((3 if regions is None else 2, 1, 2, 2), 1.0)
    found = MakeStructureMasksd(["pred", "label"], classes=3, regions=regions)({"pred": scores, "label": label})
    for key in ("pred", "label"):
        assert not found[key][:, 0, 1, 1].any()
        assert found[key].flatten(1).any(0).tolist() == [True, True, True, False]
