"""LabelMapAssembler writes, on the grid of the file, the labels that interpolated scores have there."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from helpers.phantoms import meta_tensor, noise, orientation_affine, orientations, rotation
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data import MetaTensor, decollate_batch, list_data_collate
from monai.transforms import Affined, Compose, CropForegroundd, Invertd, Orientationd, Spacingd, SpatialPadd

from bundle.grid import LabelMapAssembler, ResampleSpacingd, RestoreGridd, SplitConfidenceMapsd
from bundle.grid.original_grid import original_grid

SEEDED = settings(deadline=None, derandomize=True, database=None)

CLOSE = 1e-4
"""Scores nearer than this may come out either way in float32."""


def file_image(size: Sequence[int], affine: np.ndarray, seed: int = 0) -> MetaTensor:
    """Return an image as a loader makes it."""
    return meta_tensor(noise((1, *size), seed), affine, spatial_shape=np.array(size))


def batch_of(image: MetaTensor) -> MetaTensor:
    return list_data_collate([{"image": image}])["image"]


def assembled(image: MetaTensor, scores: torch.Tensor, axis: int = 0, step: int = 3, **options: Any) -> MetaTensor:
    """Hand ``scores`` over in slabs of ``step`` planes, in one buffer that is overwritten, and return the result."""
    writer = LabelMapAssembler(**options).start(batch_of(image), classes=len(scores), axis=axis)
    for slab in scores.split(step, dim=axis + 1):
        buffer = slab.clone()
        writer.add(buffer)
        buffer.fill_(float("nan"))
    return decollate_batch(writer.finish())[0]


def interpolated(scores: torch.Tensor, matrix: np.ndarray, size: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the scores at voxels of a file in float64, and which of them lie outside, corner by corner."""
    values = scores.double().numpy()
    dims = len(size)
    position = np.tensordot(matrix[:dims, :dims], np.indices(size), 1) + matrix[:dims, dims].reshape(-1, *[1] * dims)
    last = np.array(scores.shape[1:]).reshape(-1, *[1] * dims) - 1
    outside = ((position <= -1 + 1e-5) | (position >= last + 1 - 1e-5)).any(0)
    position = np.clip(position, 0, last)
    low = np.floor(position).astype(int)
    total = np.zeros((len(values), *size))
    for corner in itertools.product((0, 1), repeat=dims):
        place = np.array(corner).reshape(-1, *[1] * dims)
        share = np.where(place, position - low, 1 - (position - low)).prod(0)
        total += share * values[(slice(None), *np.minimum(low + place, last))]
    return torch.as_tensor(total), torch.as_tensor(outside)


def check(image: MetaTensor, scores: torch.Tensor, found: MetaTensor) -> None:
    """Compare labels with the arg-max of scores interpolated in float64, but for near ties."""
    size = [int(count) for count in image.meta["spatial_shape"]]
    matrix = np.linalg.inv(image.affine.numpy()) @ np.asarray(image.meta["original_affine"])
    expected, outside = interpolated(scores, matrix, size)
    best = expected.topk(2, dim=0)
    sure = (best.values[0] - best.values[1] > CLOSE) & ~outside
    assert found.shape == (1, *size)
    assert torch.equal(found.as_tensor()[0][sure].long(), best.indices[0][sure])
    assert not found.as_tensor()[0][outside].any()


@pytest.mark.parametrize("code", orientations())
def test_a_label_map_comes_back_bit_equal_from_every_orientation(code: str) -> None:
    """Scores that are the one-hot labels: whatever the slabs, each voxel of the file gets the label it had."""
    label = torch.randint(0, 5, (1, 4, 5, 6), generator=torch.Generator().manual_seed(0))
    file = meta_tensor(label.float(), orientation_affine(code, (1, 2, 3)), spatial_shape=np.array((4, 5, 6)))
    image = Orientationd("image", "RAS", labels=None)({"image": file})["image"]
    scores = torch.nn.functional.one_hot(image.as_tensor()[0].long(), 5).movedim(-1, 0).float()
    for axis in range(3):
        found = assembled(image, scores, axis, step=2)
        assert found.dtype == torch.uint8
        assert torch.equal(found.as_tensor().long(), label)
        np.testing.assert_array_equal(found.affine, file.affine)


sizes = st.tuples(*[st.integers(1, 9)] * 3)
spacings = st.tuples(*[st.floats(0.4, 3)] * 3)


@settings(SEEDED, max_examples=150)
@given(st.data(), st.sampled_from(orientations()), sizes, spacings, spacings)
def test_any_orientation_and_voxel_size_gives_the_arg_max_of_interpolated_scores(
    data: Any, code: str, size: tuple, spacing: tuple, pixdim: tuple
) -> None:
    pre = Compose([Orientationd("image", "RAS", labels=None), ResampleSpacingd("image", pixdim)])
    image = pre({"image": file_image(size, orientation_affine(code, spacing))})["image"]
    classes, axis, step = data.draw(st.integers(2, 6)), data.draw(st.integers(0, 2)), data.draw(st.integers(1, 9))
    scores = torch.as_tensor(noise((classes, *image.shape[1:]), data.draw(st.integers(0, 99))))
    check(image, scores, assembled(image, scores, axis, step))


@settings(SEEDED, max_examples=100)
@given(st.data(), sizes, sizes, spacings, spacings)
def test_any_oblique_grid_gives_the_arg_max_of_interpolated_scores(
    data: Any, size: tuple, shape: tuple, spacing: tuple, pixdim: tuple
) -> None:
    """The image lies at any angle to its file and covers any part of it."""
    angles = st.tuples(*[st.floats(-180, 180)] * 3)
    before, after = (
        rotation(*data.draw(angles)) @ np.diag([*step, 1]) @ shift(-(np.array(count) - 1) / 2)
        for step, count in ((spacing, size), (pixdim, shape))
    )
    image = meta_tensor(noise((1, *shape)), after, spatial_shape=np.array(size))
    image.meta["original_affine"] = torch.as_tensor(before)
    classes, axis, step = data.draw(st.integers(2, 6)), data.draw(st.integers(0, 2)), data.draw(st.integers(1, 9))
    scores = torch.as_tensor(noise((classes, *shape), data.draw(st.integers(0, 99))))
    check(image, scores, assembled(image, scores, axis, step))


def shift(offset: np.ndarray) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, 3] = offset
    return matrix


@settings(SEEDED, max_examples=30)
@given(st.tuples(st.integers(1, 9), st.integers(1, 9)), st.integers(0, 1), st.floats(0.4, 3), st.floats(-90, 90))
def test_images_of_two_axes_work_as_well(size: tuple, axis: int, zoom: float, angle: float) -> None:
    affine = rotation(0, 0, angle) @ np.diag([zoom, 1, 1, 1])
    image = meta_tensor(noise((1, 7, 6)), np.eye(4), spatial_shape=np.array(size))
    image.meta["original_affine"] = torch.as_tensor(affine)
    scores = torch.as_tensor(noise((3, 7, 6)))
    found = assembled(image, scores, axis)
    expected, outside = interpolated(scores, affine[np.ix_([0, 1, 3], [0, 1, 3])], size)
    best = expected.topk(2, dim=0)
    sure = (best.values[0] - best.values[1] > CLOSE) & ~outside
    assert torch.equal(found.as_tensor()[0][sure].long(), best.indices[0][sure])


PREPROCESSINGS = {
    "spacing": [Spacingd("image", (1.3, 0.9, 2.0))],
    "orientation, spacing": [Orientationd("image", "PIR", labels=None), Spacingd("image", (1.3, 0.9, 2.0))],
    "resampled": [Orientationd("image", "RAS", labels=None), ResampleSpacingd("image", (0.6, 1.5, 2.0))],
    "crop": [CropForegroundd("image", source_key="image", select_fn=lambda x: x > 100, allow_smaller=True)],
    "spacing, crop": [
        Spacingd("image", (1.3, 0.9, 2.0)),
        CropForegroundd("image", source_key="image", select_fn=lambda x: x > 100, allow_smaller=True),
    ],
    "pad": [SpatialPadd("image", (20, 20, 20)), Orientationd("image", "LAS", labels=None)],
}


@pytest.mark.parametrize("transforms", PREPROCESSINGS.values(), ids=PREPROCESSINGS)
def test_labels_are_those_of_monais_invertd_and_arg_max(transforms: list) -> None:
    pre = Compose(transforms)
    file = file_image((13, 12, 11), orientation_affine("LPS", (0.8, 1.1, 2.5)))
    file[0, 4:9, 3:8, 2:7] += 200
    data = pre({"image": file})
    image = data["image"]
    scores = torch.as_tensor(noise((4, *image.shape[1:])))
    scores[0] -= 3
    scores += 5
    ours = assembled(image, scores)
    data["pred"] = MetaTensor(scores, meta=image.meta)
    inverted = Invertd("pred", pre, orig_keys="image", nearest_interp=False)(data)["pred"]
    if inverted.shape[0] == 1:
        assert (ours != inverted).float().mean() < 1e-3
        return
    best = inverted.topk(2, dim=0)
    sure = best.values[0] - best.values[1] > CLOSE
    empty = (inverted == 0).all(0)
    assert sure.float().mean() + empty.float().mean() > 0.98
    assert torch.equal(ours[0][sure].long(), best.indices[0][sure])
    assert not ours[0][empty].any()
    np.testing.assert_allclose(ours.affine, inverted.affine, atol=1e-9)


def test_an_oblique_preprocessing_of_monai_is_undone() -> None:
    image = file_image((10, 11, 12), np.eye(4))
    image = Affined("image", rotate_params=(0.1, 0.2, 0.3), padding_mode="border")({"image": image})["image"]
    scores = torch.as_tensor(noise((3, *image.shape[1:])))
    check(image, scores, assembled(image, scores, axis=1))


@pytest.mark.parametrize("oblique", [False, True])
def test_confidence_maps_are_those_of_the_interpolated_scores(oblique: bool) -> None:
    turn = rotation(10, 20, 30) if oblique else np.eye(4)
    image = meta_tensor(noise((1, 7, 8, 9)), np.eye(4), spatial_shape=np.array((6, 7, 15)))
    image.meta["original_affine"] = torch.as_tensor(turn @ np.diag([1.2, 0.8, 1, 1]))
    scores = torch.as_tensor(noise((4, 7, 8, 9))) * 3
    plain = assembled(image, scores)
    result = assembled(image, scores, confidence=("entropy", "probability", "margin"))
    expected, outside = interpolated(scores, image.meta["original_affine"].numpy(), (6, 7, 15))
    probabilities = expected.softmax(0)
    best = probabilities.topk(2, dim=0).values
    entropy = -(probabilities * probabilities.log()).sum(0) / np.log(4)
    assert outside.any()
    assert torch.equal(result[:1], plain)
    for found, value, beyond in ((1, entropy, 255), (2, best[0], 0), (3, best[0] - best[1], 0)):
        assert result.dtype == torch.uint8
        assert (result[found].double() / 255 - value)[~outside].abs().max() < 0.5 / 255 + 1e-5
        assert (result[found][outside] == beyond).all()


def test_maps_become_entries() -> None:
    image = file_image((4, 5, 6), np.eye(4))
    scores = torch.as_tensor(noise((3, 4, 5, 6)))
    result = assembled(image, scores, confidence=("probability", "entropy"))
    data = SplitConfidenceMapsd("pred", names=["probability", "entropy"])({"image": image, "pred": result})
    assert data["pred"].shape == data["pred_probability"].shape == data["pred_entropy"].shape == (1, 4, 5, 6)
    assert torch.equal(data["pred"].as_tensor()[0].long(), scores.argmax(0))
    assert torch.equal(data["pred_entropy"][0], result[2])
    assert torch.equal(data["pred"].affine, result.affine)


def test_labels_without_maps_pass_as_they_are() -> None:
    result = assembled(file_image((4, 5, 6), np.eye(4)), torch.as_tensor(noise((3, 4, 5, 6))))
    data = SplitConfidenceMapsd("pred")({"pred": result})
    assert set(data) == {"pred"}
    assert torch.equal(data["pred"], result)


def test_names_that_are_not_those_of_the_assembler_are_refused() -> None:
    result = assembled(file_image((4, 5, 6), np.eye(4)), torch.zeros(3, 4, 5, 6), confidence=["margin"])
    with pytest.raises(ValueError, match=r"pred must have a label map and the maps \[\], got 2 channels"):
        SplitConfidenceMapsd("pred")({"pred": result})


@pytest.mark.parametrize("classes", [255, 256, 257, 300])
def test_many_classes_are_not_folded(classes: int) -> None:
    image = ResampleSpacingd("image", (0.7, 1, 1))({"image": file_image((5, 2, 2), np.eye(4))})["image"]
    scores = torch.zeros(classes, *image.shape[1:])
    scores[classes - 1, :3] = 1
    scores[classes - 2, 3:] = 2
    found = assembled(image, scores)
    assert found.dtype == (torch.uint8 if classes <= 256 else torch.int16)
    assert set(found.unique().tolist()) == {classes - 1, classes - 2}
    check(image, scores, found)


def test_labels_lie_in_memory_as_a_nifti_file_stores_them() -> None:
    image = file_image((4, 5, 6), np.eye(4))
    assert assembled(image, torch.zeros(2, 4, 5, 6))[0].numpy().flags.f_contiguous


def test_an_image_without_a_file_is_its_own_original() -> None:
    scores = torch.as_tensor(noise((3, 4, 5, 6)))
    for image in (
        torch.zeros(1, 1, 4, 5, 6),
        meta_tensor(torch.zeros(1, 1, 4, 5, 6)),
        MetaTensor(torch.zeros(1, 1, 4, 5, 6)),
    ):
        writer = LabelMapAssembler().start(image, classes=3, axis=1)
        writer.add(scores)
        result = writer.finish()
        assert isinstance(result, MetaTensor) is isinstance(image, MetaTensor)
        assert torch.equal(torch.as_tensor(result).long(), scores.argmax(0)[None, None])


def test_the_original_grid_is_known_from_metadata_of_a_case_and_of_a_batch() -> None:
    image = ResampleSpacingd("image", (2, 2, 2))({"image": file_image((4, 5, 6), np.eye(4))})["image"]
    for item in (batch_of(image), MetaTensor(image.as_tensor()[None], meta=image.meta)):
        matrix, size = original_grid(item)
        assert size == [4, 5, 6]
        np.testing.assert_allclose(matrix, np.diag([0.5, 0.5, 0.5, 1]), atol=1e-12)


def test_a_moved_image_whose_file_has_no_known_size_is_refused() -> None:
    image = ResampleSpacingd("image", (2, 2, 2))({"image": meta_tensor(noise((1, 4, 5, 6)))})["image"]
    with pytest.raises(ValueError, match="image was moved to another grid, but its metadata lacks 'spatial_shape'"):
        LabelMapAssembler().start(batch_of(image), classes=2, axis=0)


def test_a_file_that_the_image_does_not_meet_is_background() -> None:
    image = meta_tensor(noise((1, 4, 4, 4)), shift(np.array([50, 0, 0])), spatial_shape=np.array((6, 6, 6)))
    image.meta["original_affine"] = torch.eye(4)
    scores = torch.zeros(2, 4, 4, 4)
    scores[1] = 1
    assert not assembled(image, scores).any()


def test_one_class_has_no_arg_max_and_is_refused() -> None:
    with pytest.raises(ValueError, match="classes must be 2 or more to have an arg-max, got 1"):
        LabelMapAssembler().start(torch.zeros(1, 1, 4, 4, 4), classes=1, axis=0)


def test_an_unknown_map_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"confidence must name some of probability, margin, entropy, got \['variance'\]"
    ):
        LabelMapAssembler(confidence=["variance"])


@pytest.mark.parametrize("transform", [ResampleSpacingd, Spacingd])
def test_scores_of_another_inferer_come_back_by_invertd_and_arg_max(transform: type) -> None:
    pre = Compose([Orientationd("image", "RAS", labels=None), transform("image", (0.7, 0.9, 1.5))])
    data = pre({"image": file_image((6, 5, 4), orientation_affine("LIP", (1, 1.2, 2)))})
    image = data["image"]
    scores = torch.as_tensor(noise((3, *image.shape[1:])))
    data["pred"] = MetaTensor(scores, meta=image.meta)
    found = RestoreGridd("pred", pre)(data)["pred"]
    assert found.dtype == torch.uint8
    check(image, scores, found)


@pytest.mark.parametrize("transform", [ResampleSpacingd, Spacingd])
def test_labels_of_another_inferer_come_back_by_their_nearest_voxels(transform: type) -> None:
    pre = Compose([Orientationd("image", "RAS", labels=None), transform("image", (0.5, 0.5, 0.5))])
    data = pre({"image": file_image((6, 5, 4), orientation_affine("LIP"))})
    labels = torch.zeros(1, *data["image"].shape[1:], dtype=torch.uint8)
    labels[:, 3:, 4:] = 7
    data["pred"] = MetaTensor(labels, meta=data["image"].meta)
    found = RestoreGridd("pred", pre)(data)["pred"]
    assert found.shape == (1, 6, 5, 4)
    assert set(found.unique().tolist()) == {0, 7}


@pytest.mark.parametrize("orientation", ["LPS", "RAS"])
def test_labels_that_lie_on_the_grid_of_the_file_stay_there(orientation: str) -> None:
    pre = Compose([Orientationd("image", "RAS", labels=None)])
    data = pre({"image": file_image((4, 4, 4), orientation_affine(orientation))})
    data["pred"] = assembled(data["image"], torch.as_tensor(noise((3, 4, 4, 4))))
    assert torch.equal(RestoreGridd("pred", pre)(data)["pred"], data["pred"])


def test_a_missing_key_is_passed_over_where_that_is_allowed() -> None:
    assert RestoreGridd("pred", Compose([]), allow_missing_keys=True)({"image": 1}) == {"image": 1}
    with pytest.raises(KeyError, match="pred"):
        RestoreGridd("pred", Compose([]))({"image": 1})
