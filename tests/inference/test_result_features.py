"""A result is measured while its label map is made; the features are those of its largest component."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from helpers.phantoms import meta_tensor, noise, rotation
from scipy import ndimage

from bundle.grid import LabelMapAssembler
from bundle.inference import FeatureAssembler, Plausibility
from bundle.inference.label_features import measure_labels
from bundle.inference.plausibility import CROP, FeatureDistribution

NAMES = {"anterior": 1, "posterior": 2}
AFFINE = rotation(10, -20, 30) @ np.diag([1.0, 1.5, 2.0, 1.0])
AFFINE[:3, 3] = 30, -20, 10


def label_map() -> np.ndarray:
    """Return two structures that touch, and a smaller component of the first."""
    labels = np.zeros((14, 12, 10), np.uint8)
    labels[3:8, 2:7, 4:8], labels[3:8, 7:9, 4:7] = 1, 2
    labels[11:13, 9:11, 1:3] = 1
    return labels


def scores_of(labels: np.ndarray) -> torch.Tensor:
    """Return scores whose arg-max are the labels, by different margins."""
    scores = torch.as_tensor(noise((3, *labels.shape)) * 0.1)
    return scores + 4 * torch.nn.functional.one_hot(torch.as_tensor(labels).long(), 3).permute(3, 0, 1, 2)


def measured(scores: torch.Tensor, *, axis: int = 0, slab: int = 99, **options: Any) -> FeatureAssembler:
    """Return what has measured scores that came in slabs along an axis."""
    assembler = FeatureAssembler(LabelMapAssembler(), label_names=NAMES, **{"enabled": True, **options})
    image = meta_tensor(torch.zeros(1, *scores.shape[1:]), AFFINE, spatial_shape=list(scores.shape[1:]))[None]
    writer = assembler.start(image, classes=len(scores), axis=axis)
    for part in scores.split(slab, dim=axis + 1):
        buffer = part.clone()
        writer.add(buffer)
        buffer.zero_()
    assert torch.equal(writer.finish()[0, 0].as_tensor().long(), scores.argmax(0))
    return assembler


def expected_features(labels: np.ndarray) -> dict[str, float]:
    """Measure in world coordinates, voxel by voxel."""
    components, _ = ndimage.label(labels > 0)
    largest = components == np.argmax(np.bincount(components[components > 0]))
    voxel = abs(np.linalg.det(AFFINE[:3, :3]))
    points = {name: [] for name in ("all", *NAMES)}
    for index in zip(*np.nonzero(largest), strict=True):
        place = (AFFINE @ [*index, 1])[:3]
        points["all"].append(place)
        points[next(name for name, value in NAMES.items() if value == labels[index])].append(place)
    centers = {name: np.mean(places, axis=0) for name, places in points.items()}
    middle = (AFFINE @ [*((np.array(labels.shape) - 1) / 2), 1])[:3]
    features = {
        "volume_mm3": len(points["all"]) * voxel,
        "anterior_share": len(points["anterior"]) / len(points["all"]),
        "view_share": len(points["all"]) / labels.size,
        "center_mm": float(np.linalg.norm(centers["all"] - middle)),
    }
    for name in NAMES:
        x, y, z = centers[name] - centers["all"]
        features |= {f"{name}_x_mm": abs(x), f"{name}_y_mm": y, f"{name}_z_mm": z}
    return features


def test_the_features_are_those_of_the_voxels_in_world_coordinates() -> None:
    assert measure_labels(label_map(), AFFINE, NAMES) == pytest.approx(expected_features(label_map()))


def test_the_confidence_is_the_mean_of_the_highest_probability() -> None:
    scores = scores_of(label_map())
    features = measured(scores).features
    assert features == pytest.approx({**expected_features(label_map()), "confidence": features["confidence"]}, abs=1e-4)
    exponents = np.exp(scores.numpy().astype(float))
    probability = (exponents / exponents.sum(0)).max(0)[label_map() > 0]
    assert features["confidence"] == pytest.approx(probability.mean(), abs=1e-4)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("slab", [1, 3])
def test_slabs_along_any_axis_give_the_same(axis: int, slab: int) -> None:
    scores = scores_of(label_map())
    assert measured(scores, axis=axis, slab=slab).features == measured(scores).features


def test_left_and_right_are_alike() -> None:
    labels = label_map()
    mirrored = np.diag([-1.0, 1, 1, 1]) @ AFFINE
    assert measure_labels(labels, mirrored, NAMES) == pytest.approx(measure_labels(labels, AFFINE, NAMES))


def test_a_structure_that_is_missing_is_at_the_center() -> None:
    labels = label_map()
    labels[labels == 2] = 0
    features = measure_labels(labels, AFFINE, NAMES)
    assert features["anterior_share"] == 1
    assert (features["posterior_x_mm"], features["posterior_y_mm"], features["posterior_z_mm"]) == (0, 0, 0)


def test_without_a_label_the_volume_is_the_only_feature() -> None:
    assert measured(scores_of(np.zeros((4, 5, 6), np.uint8))).features == {"volume_mm3": 0}


def test_a_plain_tensor_has_voxels_of_1_mm() -> None:
    assembler = FeatureAssembler(LabelMapAssembler(), label_names=NAMES, enabled=True)
    writer = assembler.start(torch.zeros(1, 1, 14, 12, 10), classes=3, axis=0)
    writer.add(scores_of(label_map()))
    writer.finish()
    assert assembler.features["volume_mm3"] == 5 * 5 * 4 + 5 * 2 * 3


def test_every_image_is_measured_anew() -> None:
    assembler = measured(scores_of(label_map()))
    writer = assembler.start(torch.zeros(1, 1, 4, 5, 6), classes=3, axis=0)
    writer.add(scores_of(np.zeros((4, 5, 6), np.uint8)))
    writer.finish()
    assert assembler.features == {"volume_mm3": 0}


def test_the_background_among_the_names_is_not_measured() -> None:
    assembler = FeatureAssembler(LabelMapAssembler(), label_names={"background": 0, **NAMES}, enabled=True)
    assert assembler.label_names == NAMES


@pytest.mark.parametrize(
    ("enabled", "known", "expected"),
    [("auto", True, True), ("auto", False, False), ("true", False, True), (True, False, True), ("false", True, False)],
)
def test_results_are_measured_where_plausible_ones_are_known_or_on_request(
    enabled: Any, known: bool, expected: bool
) -> None:
    plausibility = Plausibility(None)
    plausibility.distributions = {CROP: FeatureDistribution(3, ["volume_mm3"], [1.0], [[1.0]])} if known else {}
    assembler = measured(scores_of(label_map()), enabled=enabled, plausibility=plausibility)
    assert assembler.enabled is expected
    assert bool(assembler.features) is expected


def test_without_plausible_results_nothing_is_measured() -> None:
    assert measured(scores_of(label_map()), enabled="auto").features == {}


def test_another_value_of_measure_features_is_refused() -> None:
    with pytest.raises(ValueError, match="measure_features must be auto, true or false, got 'some'"):
        FeatureAssembler(LabelMapAssembler(), label_names=NAMES, enabled="some")


class TestCutCenter:
    def test_it_is_the_middle_of_labels_that_touch_the_border(self) -> None:
        labels = label_map()
        labels[:5] = 0
        scores = scores_of(labels)
        assert measured(scores).cut_center_mm is None
        shown = scores[:, 5:]
        assert measured(shown).cut_center_mm == pytest.approx((AFFINE @ [1, 5, 5.5, 1])[:3])

    def test_an_image_without_labels_has_none(self) -> None:
        assert measured(scores_of(np.zeros((14, 12, 10), np.uint8))).cut_center_mm is None
