"""Random images of label maps."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers.phantoms import meta_tensor

from bundle.transforms import SynthesizeImaged


def label_map() -> torch.Tensor:
    """Return a label map ``(1, 24, 24, 24)`` with the values 0, 3, 7 and 9."""
    label = torch.zeros(1, 24, 24, 24)
    label[:, :8, 4:], label[:, 8:16], label[:, 16:] = 3, 7, 9
    return label


def test_every_structure_has_its_own_mean_and_deviation() -> None:
    label = label_map()
    synthesize = SynthesizeImaged("label", mean_range=[5, 9], std_range=[0.1, 0.5], blank=0).set_random_state(seed=0)
    image = synthesize({"label": label})["label"]
    means = [float(image[label == value].mean()) for value in (0, 3, 7, 9)]
    deviations = [float(image[label == value].std()) for value in (0, 3, 7, 9)]
    assert image.dtype == torch.float32
    assert len({round(mean, 2) for mean in means}) == 4
    assert all(4.9 < mean < 9.1 for mean in means)
    assert all(0.09 < deviation < 0.55 for deviation in deviations)


def test_structures_of_a_pair_have_one_distribution() -> None:
    synthesize = SynthesizeImaged("label", pairs=[[3, 9]], std_range=[0, 0], blank=0).set_random_state(seed=1)
    image = synthesize({"label": label_map()})["label"]
    left, middle, right = (image[label_map() == value].unique().tolist() for value in (3, 7, 9))
    assert left == right != middle


@pytest.mark.parametrize("blank", [True, False])
def test_the_background_is_blank_as_often_as_asked(blank: bool) -> None:
    synthesize = SynthesizeImaged("label", blank=float(blank)).set_random_state(seed=2)
    image = synthesize({"label": label_map()})["label"]
    assert bool((image[label_map() == 0] == 0).all()) == blank


def test_images_are_those_of_the_seed_and_keep_the_metadata() -> None:
    label = meta_tensor(label_map(), affine=np.diag([2.0, 2, 2, 1]))
    images = [SynthesizeImaged("label").set_random_state(seed=3)({"label": label})["label"] for _ in range(2)]
    assert torch.equal(*images)
    assert torch.equal(images[0].affine, label.affine)
    assert torch.equal(label.as_tensor(), label_map())


def test_a_label_map_with_fractions_is_refused() -> None:
    with pytest.raises(ValueError, match=r"must have integers, got values such as 0\.5"):
        SynthesizeImaged("label")({"label": torch.full((1, 2, 2, 2), 0.5)})


def test_a_range_must_increase() -> None:
    with pytest.raises(ValueError, match=r"std_range must be two increasing numbers, got \[1, 0\]"):
        SynthesizeImaged("label", std_range=[1, 0])
