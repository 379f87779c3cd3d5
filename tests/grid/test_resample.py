"""ResampleSpacingd gives what MONAI's Spacingd gives; its inverse, labels of scores interpolated on the first grid."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from helpers.phantoms import ball, meta_tensor, noise, orientation_affine, orientations, rotation
from monai.data import MetaTensor
from monai.transforms import Compose, Invertd, Orientationd, Spacingd
from torch.nn.functional import grid_sample

from bundle.grid import ResampleSpacingd, resample

SPACING = (0.8, 1.2, 2.5)
AFFINES = {
    "aligned": np.diag([*SPACING, 1]),
    "flipped": orientation_affine("LPS", SPACING),
    "oblique": rotation(20, -10, 35) @ np.diag([*SPACING, 1]),
}
PIXDIMS = [(0.5, 0.5, 0.5), (2, 2, 2), (1, 1, 1), (0.8, 1.0, 4.0), (3, 0.9, 2.5)]


def spacing_of(image: MetaTensor) -> np.ndarray:
    return np.linalg.norm(np.asarray(image.affine)[:3, :3], axis=0)


def sample(volume: torch.Tensor, positions: list[torch.Tensor]) -> torch.Tensor:
    """Interpolate (C, D, H, W) linearly at a grid of voxel positions, in float64, by PyTorch's grid_sample."""
    grid = torch.stack(torch.meshgrid(*(place.double() for place in positions), indexing="ij"), dim=-1)
    last = torch.tensor(volume.shape[1:], dtype=torch.float64) - 1
    grid = (2 * grid / last - 1).flip(-1)[None]
    return grid_sample(volume[None].double(), grid, padding_mode="border", align_corners=True)[0]


@pytest.mark.parametrize("affine", AFFINES.values(), ids=AFFINES)
@pytest.mark.parametrize("pixdim", PIXDIMS, ids=str)
@pytest.mark.parametrize("mode", ["linear", "nearest"])
def test_values_shape_and_affine_are_those_of_spacingd(affine: np.ndarray, pixdim: tuple, mode: str) -> None:
    image = meta_tensor(noise((2, 15, 13, 9)) if mode == "linear" else np.stack([ball((15, 13, 9))] * 2), affine)
    ours = ResampleSpacingd("image", pixdim, mode=mode)({"image": image})["image"]
    monai_mode = "bilinear" if mode == "linear" else mode
    peer = Spacingd("image", pixdim, mode=monai_mode, padding_mode="border", dtype=torch.float64)({"image": image})[
        "image"
    ]
    assert ours.shape == peer.shape
    assert ours.dtype == image.dtype
    np.testing.assert_allclose(ours.affine, peer.affine, atol=1e-9)
    if mode == "linear":
        np.testing.assert_allclose(ours, peer, atol=2e-6)
    else:
        scale = np.array(pixdim) / SPACING
        sure = [np.abs((np.arange(n) * s) % 1 - 0.5) > 1e-6 for n, s in zip(ours.shape[1:], scale, strict=True)]
        place = np.ix_([0, 1], *sure)
        np.testing.assert_array_equal(ours.numpy()[place], peer.numpy()[place])


@pytest.mark.parametrize("pixdim", PIXDIMS, ids=str)
def test_a_linear_ramp_stays_the_same_ramp_in_the_world(pixdim: tuple) -> None:
    """Within the volume; beyond its last voxel the border counts."""
    affine, shape = AFFINES["oblique"], (15, 13, 9)
    slope = np.array([1.0, -2.0, 0.5])

    def ramp(matrix: np.ndarray, size: tuple) -> np.ndarray:
        world = np.tensordot(matrix[:3, :3], np.indices(size), 1) + matrix[:3, 3].reshape(3, 1, 1, 1)
        return np.tensordot(slope, world, 1)

    image = meta_tensor(ramp(affine, shape)[None], affine)
    ours = ResampleSpacingd("image", pixdim)({"image": image})["image"]
    inside = np.ix_(
        *(np.arange(n) * p / s <= m - 1 for n, p, s, m in zip(ours.shape[1:], pixdim, SPACING, shape, strict=True))
    )
    np.testing.assert_allclose(ours[0].numpy()[inside], ramp(ours.affine.numpy(), ours.shape[1:])[inside], atol=1e-9)


@pytest.mark.parametrize("affine", AFFINES.values(), ids=AFFINES)
@pytest.mark.parametrize("pixdim", PIXDIMS, ids=str)
def test_the_inverse_returns_to_the_first_grid(affine: np.ndarray, pixdim: tuple) -> None:
    image = meta_tensor(noise((1, 15, 13, 9)), affine)
    transform = ResampleSpacingd("image", pixdim)
    back = transform.inverse(transform({"image": image}))["image"]
    assert back.shape == image.shape
    assert back.applied_operations == []
    np.testing.assert_array_equal(back.affine, image.affine)


def test_doubling_the_resolution_and_back_loses_nothing() -> None:
    image = meta_tensor(noise((1, 10, 9, 8), dtype=np.float64))
    transform = ResampleSpacingd("image", (0.5, 0.5, 0.5))
    back = transform.inverse(transform({"image": image}))["image"]
    np.testing.assert_allclose(back, image, atol=1e-12)


@pytest.mark.parametrize("pixdim", PIXDIMS, ids=str)
@pytest.mark.parametrize("classes", [2, 5])
def test_class_scores_come_back_as_the_arg_max_of_interpolated_scores(pixdim: tuple, classes: int) -> None:
    image = meta_tensor(noise((1, 35, 13, 9)), AFFINES["oblique"])
    transform = ResampleSpacingd("image", pixdim)
    forward = transform({"image": image})["image"]
    scores = torch.as_tensor(noise((classes, *forward.shape[1:]), seed=1))
    labels = transform.inverse(
        {"image": MetaTensor(scores, meta=forward.meta, applied_operations=forward.applied_operations)}
    )

    steps = [s / p for s, p in zip(SPACING, pixdim, strict=True)]
    expected = sample(scores, [torch.arange(n) * s for n, s in zip(image.shape[1:], steps, strict=True)])
    best = expected.topk(2, dim=0)
    sure = best.values[0] - best.values[1] > 1e-4
    assert labels["image"].shape == image.shape
    assert labels["image"].dtype == torch.uint8
    assert sure.float().mean() > 0.99
    torch.testing.assert_close(labels["image"].as_tensor()[0][sure].long(), best.indices[0][sure])


def test_more_than_256_classes_need_and_get_a_wider_type() -> None:
    transform = ResampleSpacingd("image", (0.5, 1, 1))
    forward = transform({"image": meta_tensor(noise((1, 3, 2, 2)))})["image"]
    scores = torch.zeros(300, *forward.shape[1:])
    scores[299] = 1
    pred = MetaTensor(scores, meta=forward.meta, applied_operations=forward.applied_operations)
    labels = transform.inverse({"image": pred})["image"]
    assert labels.shape == (1, 3, 2, 2)
    assert labels.unique().tolist() == [299]


def test_a_single_channel_comes_back_as_interpolated_values() -> None:
    transform = ResampleSpacingd("image", (0.5, 0.8, 2))
    forward = transform({"image": meta_tensor(noise((1, 9, 8, 7)))})["image"]
    back = transform.inverse({"image": forward})["image"]
    expected = sample(forward.as_tensor(), [torch.arange(9) * 2, torch.arange(8) / 0.8, torch.arange(7) / 2])
    torch.testing.assert_close(back.as_tensor().double(), expected, atol=1e-6, rtol=0)


def test_an_integer_map_comes_back_by_its_nearest_voxels() -> None:
    label = ball((15, 15, 15))[None]
    transform = ResampleSpacingd("label", (0.5, 0.5, 0.5), mode="nearest")
    forward = transform({"label": meta_tensor(label)})["label"]
    assert forward.dtype == torch.uint8
    np.testing.assert_array_equal(transform.inverse({"label": forward})["label"], label)


@pytest.mark.parametrize("chunk", [1, 3, 1000])
def test_the_size_of_a_chunk_does_not_matter(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    image = meta_tensor(noise((3, 40, 13, 9)), AFFINES["oblique"])
    transform = ResampleSpacingd("image", (0.7, 1, 2))
    first = transform({"image": image})["image"]
    labels = transform.inverse({"image": first})["image"]
    monkeypatch.setattr(resample, "CHUNK", chunk)
    again = transform({"image": image})["image"]
    assert torch.equal(again, first)
    assert torch.equal(transform.inverse({"image": again})["image"], labels)


def test_the_input_and_its_metadata_stay_as_they_were() -> None:
    image = meta_tensor(noise((1, 9, 8, 7)), AFFINES["oblique"], filename_or_obj="a.nii.gz")
    values, meta = image.clone(), copy.deepcopy(image.meta)
    data = {"image": image, "other": 1}
    transform = ResampleSpacingd("image", (1, 1, 1))
    result = transform(data)
    transform.inverse(result)
    assert data["image"] is image
    assert torch.equal(image, values)
    assert image.applied_operations == []
    assert torch.equal(image.affine, meta["affine"])
    assert result["other"] == 1
    assert result["image"].meta["filename_or_obj"] == "a.nii.gz"
    assert torch.equal(torch.as_tensor(result["image"].meta["original_affine"]), meta["original_affine"])


def test_an_axis_that_would_hardly_move_is_left_as_it_is() -> None:
    image = meta_tensor(noise((1, 21, 21, 21)), np.diag([1.002, 1.003, 2, 1]))
    result = ResampleSpacingd("image", (1, 1, 1))({"image": image})["image"]
    np.testing.assert_allclose(spacing_of(result), [1.002, 1, 1])
    assert result.shape == (1, 21, 21, 41)
    assert torch.equal(result[:, :, 0, ::2], image[:, :, 0])


def test_every_key_has_its_mode_and_may_be_missing_if_that_is_allowed() -> None:
    label = meta_tensor(ball((9, 9, 9))[None].astype(np.float32))
    image = meta_tensor(noise((1, 9, 9, 9)))
    result = ResampleSpacingd(["image", "label"], (0.7, 0.7, 0.7), mode=["linear", "nearest"])(
        {"image": image, "label": label}
    )
    assert set(result["label"].unique().tolist()) == {0, 1, 2}
    assert len(result["image"].unique()) > 729
    assert set(ResampleSpacingd(["image", "label"], (1, 1, 1), allow_missing_keys=True)({"image": image})) == {"image"}
    with pytest.raises(KeyError, match="label"):
        ResampleSpacingd(["image", "label"], (1, 1, 1))({"image": image})


@pytest.mark.parametrize("code", orientations())
def test_a_label_map_comes_back_bit_equal_from_every_orientation(code: str) -> None:
    """At an unchanged voxel size, MONAI's Invertd undoes Orientationd and ResampleSpacingd, without a warning."""
    pre = Compose([Orientationd("image", "RAS", labels=None), ResampleSpacingd("image", (1, 1, 1))])
    label = torch.randint(0, 4, (1, 3, 4, 5), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    data = pre({"image": meta_tensor(label.float(), orientation_affine(code))})
    data["pred"] = MetaTensor(data["image"].as_tensor().to(torch.uint8), meta=data["image"].meta)
    back = Invertd("pred", pre, orig_keys="image", nearest_interp=False, to_tensor=False)(data)["pred"]
    assert back.dtype == torch.uint8
    assert torch.equal(back.as_tensor(), label)
    np.testing.assert_allclose(back.affine, orientation_affine(code))


@pytest.mark.parametrize("code", orientations())
def test_scores_come_back_as_labels_on_the_grid_of_the_file_from_every_orientation(code: str) -> None:
    """The scores of a ramp along each world axis: their arg-max is known in closed form at every voxel of the file."""
    pre = Compose([Orientationd("image", "RAS", labels=None), ResampleSpacingd("image", (0.7, 0.9, 1.5))])
    affine = orientation_affine(code, SPACING)
    data = pre({"image": meta_tensor(noise((1, 6, 5, 4)), affine)})
    image = data["image"]
    data["pred"] = MetaTensor(_ramps(image.affine.numpy(), image.shape[1:]), meta=image.meta)
    back = Invertd("pred", pre, orig_keys="image", nearest_interp=False, to_tensor=False)(data)["pred"]
    expected = _ramps(affine, (6, 5, 4)).topk(2, dim=0)
    inside = _inside(affine, image)
    sure = inside & (expected.values[0] - expected.values[1] > 1e-3)
    assert back.shape == (1, 6, 5, 4)
    assert sure.float().mean() > 0.3
    np.testing.assert_allclose(back.affine, affine)
    assert torch.equal(back.as_tensor()[0][sure].long(), expected.indices[0][sure])


def _world(affine: np.ndarray, size: tuple) -> np.ndarray:
    return np.tensordot(affine[:3, :3], np.indices(size), 1) + affine[:3, 3].reshape(3, 1, 1, 1)


def _ramps(affine: np.ndarray, size: tuple) -> torch.Tensor:
    center = np.array([11, -7, 5]).reshape(3, 1, 1, 1)
    return torch.as_tensor(np.concatenate([_world(affine, size) - center, center - _world(affine, size)])).float()


def _inside(affine: np.ndarray, image: MetaTensor) -> torch.Tensor:
    """Tell which voxels of the file lie between voxels of the resampled image, where a ramp is interpolated exactly."""
    world = _world(affine, (6, 5, 4))
    inverse = np.linalg.inv(image.affine.numpy())
    voxel = np.tensordot(inverse[:3, :3], world, 1) + inverse[:3, 3].reshape(3, 1, 1, 1)
    last = np.array(image.shape[1:]).reshape(3, 1, 1, 1) - 1
    return torch.as_tensor(((voxel > -1e-6) & (voxel < last + 1e-6)).all(0))


@pytest.mark.parametrize("pixdim", [(0, 1, 1), (1, -1, 1), (1, 1, float("nan")), (1, 1)], ids=str)
def test_a_voxel_size_that_is_not_positive_is_refused(pixdim: tuple) -> None:
    with pytest.raises(ValueError, match="pixdim needs three positive voxel sizes"):
        ResampleSpacingd("image", pixdim)


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="mode must be one of linear, nearest, got 'cubic'"):
        ResampleSpacingd("image", (1, 1, 1), mode="cubic")


def test_scores_in_half_precision_are_interpolated_in_float32() -> None:
    pre = Compose([ResampleSpacingd("image", (1.0, 1.0, 1.0))])
    data = pre({"image": meta_tensor(noise((1, 6, 7, 8)), np.diag([1.6, 0.7, 1.0, 1.0]))})
    scores = torch.randn(3, *data["image"].shape[1:], generator=torch.Generator().manual_seed(0)).half()
    found = []
    for kind in (torch.float16, torch.float32):
        data["pred"] = MetaTensor(scores.to(kind), meta=data["image"].meta)
        found.append(Invertd("pred", pre, orig_keys="image", nearest_interp=False)(data)["pred"].as_tensor())
    assert torch.equal(*found)


def test_an_axis_without_a_voxel_size_is_kept() -> None:
    image = meta_tensor(noise((1, 9, 8, 7)), AFFINES["flipped"])
    kept = ResampleSpacingd("image", [None, 0.6, 0.6])({"image": image})["image"]
    given = ResampleSpacingd("image", [0.8, 0.6, 0.6])({"image": image})["image"]
    torch.testing.assert_close(kept.as_tensor(), given.as_tensor())
    np.testing.assert_allclose(spacing_of(kept), [0.8, 0.6, 0.6])


@pytest.mark.parametrize("error", [-1e-7, 0.0, 1e-7])
def test_the_last_digits_of_the_voxel_size_do_not_change_the_size_of_the_result(error: float) -> None:
    image = meta_tensor(noise((1, 24, 24, 24)), np.diag([5 * (1 + error), 1.0, 1.0, 1.0]))
    assert ResampleSpacingd("image", (2.0, 1.0, 1.0))({"image": image})["image"].shape[1] == 59


def test_with_antialiasing_every_voxel_counts() -> None:
    values = torch.as_tensor(noise((1, 33, 21, 16), 0))
    image = meta_tensor(values, affine=np.diag([1.0, 1.0, 2.0, 1.0]))
    smooth = ResampleSpacingd("image", pixdim=[4.0, 2.5, 3.0], antialias=True)({"image": image})["image"]
    plain = ResampleSpacingd("image", pixdim=[4.0, 2.5, 3.0])({"image": image})["image"]
    assert smooth.shape == plain.shape
    assert torch.equal(smooth.affine, plain.affine)
    assert smooth.std() < 0.5 * plain.std()
    assert smooth.mean() == pytest.approx(float(values.mean()), abs=0.05)


def test_with_antialiasing_a_ramp_stays_the_same_ramp_within_the_volume() -> None:
    values = torch.arange(40.0).reshape(1, 40, 1, 1).expand(1, 40, 6, 6).contiguous()
    found = ResampleSpacingd("image", pixdim=[3.5, 1.0, 1.0], antialias=True)({"image": meta_tensor(values)})["image"]
    positions = torch.arange(found.shape[1]) * 3.5
    torch.testing.assert_close(found[0, 1:-1, 0, 0].as_tensor(), positions[1:-1])


def test_antialiasing_changes_neither_labels_nor_finer_voxels() -> None:
    values = torch.randint(0, 5, (1, 12, 12, 12), generator=torch.Generator().manual_seed(0))
    for pixdim, mode in ((4.0, "nearest"), (0.7, "linear"), (1.5, "linear")):
        found, plain = (
            ResampleSpacingd("image", pixdim=[pixdim] * 3, mode=mode, antialias=antialias)(
                {"image": meta_tensor(values)}
            )
            for antialias in (True, False)
        )
        assert torch.equal(found["image"].as_tensor(), plain["image"].as_tensor())
