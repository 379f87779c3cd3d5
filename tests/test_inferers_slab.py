"""SlabInferer blends windows as MONAI does, and finishes labels without ever holding all scores."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.inferers import sliding_window_inference
from monai.networks.nets import UNet
from monai.transforms import Orientationd
from phantoms import meta_tensor, noise, orientation_affine, rotation
from torch.utils._python_dispatch import TorchDispatchMode

from bundle.inferers import SlabInferer
from bundle.inferers.slab import was_resampled, window_starts
from bundle.transforms import Resampled

SAME_WINDOWS = [  # (size, window, overlap): even spread and MONAI's steps lead to the same windows
    ((24, 16, 20), (8, 8, 8), 0.5),
    ((16, 16, 16), (16, 16, 16), 0.25),
    ((14, 8, 20), (8, 8, 8), 0.25),
    ((5, 16, 12), (8, 8, 8), 0.5),
    ((5, 6, 16), (8, 8, 8), 0.5),
    ((5, 6, 7), (8, 8, 8), 0.25),
    ((20, 12, 8), (8, 8, 8), 0.5),
]


@pytest.fixture(scope="module")
def network() -> Callable[[torch.Tensor], torch.Tensor]:
    torch.manual_seed(0)
    return UNet(3, 2, 3, channels=(4, 8), strides=(2,)).eval().requires_grad_(False)


def volume(shape: tuple[int, ...], seed: int = 0) -> torch.Tensor:
    return torch.as_tensor(noise(shape, seed))


def pointwise(windows: torch.Tensor) -> torch.Tensor:
    """A network that looks at one voxel at a time: blending must give back its scores of the whole volume."""
    return torch.cat([windows[:, :1], -windows[:, :1], windows[:, :1] ** 2 - 1], dim=1)


@pytest.mark.parametrize(("size", "roi", "overlap"), SAME_WINDOWS, ids=str)
@pytest.mark.parametrize("mode", ["gaussian", "constant"])
def test_scores_are_those_of_monai_where_the_windows_are_the_same(
    size: tuple, roi: tuple, overlap: float, mode: str, network: Callable
) -> None:
    image = volume((2, 2, *size))
    ours = SlabInferer(roi, overlap=overlap, mode=mode, output="scores")(image, network)
    peer = sliding_window_inference(image, roi, 4, network, overlap=overlap, mode=mode)
    assert type(ours) is torch.Tensor
    assert ours.dtype == torch.float32
    torch.testing.assert_close(ours, peer, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("size", "roi", "overlap"), [*SAME_WINDOWS, ((19, 13, 11), (8, 6, 10), 0.3)], ids=str)
def test_labels_are_the_arg_max_of_the_scores(size: tuple, roi: tuple, overlap: float, network: Callable) -> None:
    image = volume((2, 2, *size))
    scores = SlabInferer(roi, overlap=overlap, output="scores")(image, network)
    labels = SlabInferer(roi, overlap=overlap, output="labels")(image, network)
    best = scores.topk(2, dim=1)
    sure = best.values[:, :1] - best.values[:, 1:] > 1e-5
    assert labels.shape == (2, 1, *size)
    assert labels.dtype == torch.uint8
    assert sure.float().mean() > 0.99
    assert torch.equal(labels[sure].long(), best.indices[:, :1][sure])


@pytest.mark.parametrize("size", list(itertools.product((5, 8, 21), repeat=3)), ids=str)
def test_a_network_of_one_voxel_gives_its_scores_of_the_whole_volume(size: tuple) -> None:
    """Volumes smaller than the window, of its size, and larger, in every combination of axes."""
    image = volume((1, 1, *size))
    result = SlabInferer((8, 8, 8), overlap=0.4, output="scores")(image, pointwise)
    torch.testing.assert_close(result, pointwise(image), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("size", [(5, 6), (9, 5), (21, 17)], ids=str)
@pytest.mark.parametrize("output", ["scores", "labels"])
def test_images_of_two_axes_work_as_well(size: tuple, output: str) -> None:
    image = volume((3, 1, *size))
    result = SlabInferer((8, 6), output=output)(image, pointwise)
    expected = pointwise(image)
    if output == "scores":
        torch.testing.assert_close(result, expected, atol=1e-5, rtol=1e-5)
    else:
        assert torch.equal(result.long(), expected.argmax(1, keepdim=True))


@pytest.mark.parametrize("sw_batch_size", [2, 3, 100])
def test_the_number_of_windows_a_pass_does_not_matter(sw_batch_size: int, network: Callable) -> None:
    image = volume((2, 2, 20, 19, 18))
    one = SlabInferer((8, 8, 8), output="scores")(image, network)
    many = SlabInferer((8, 8, 8), output="scores", sw_batch_size=sw_batch_size)(image, network)
    torch.testing.assert_close(many, one, atol=1e-5, rtol=0)


def test_a_batch_is_the_sum_of_its_samples(network: Callable) -> None:
    image = volume((2, 2, 20, 9, 11))
    inferer = SlabInferer((8, 8, 8), output="scores", sw_batch_size=3)
    apart = torch.cat([inferer(sample[None], network) for sample in image])
    torch.testing.assert_close(inferer(image, network), apart, atol=1e-5, rtol=0)


def test_further_arguments_reach_the_network() -> None:
    result = SlabInferer((4, 4, 4), output="scores")(
        torch.ones(1, 1, 6, 6, 6), lambda windows, factor, *, shift: windows * factor + shift, 3, shift=2
    )
    torch.testing.assert_close(result, torch.full_like(result, 5))


def test_scores_in_half_precision_are_blended_in_float32() -> None:
    image = volume((1, 1, 12, 12, 12)).bfloat16().float()
    result = SlabInferer((8, 8, 8), output="scores")(image, lambda windows: windows.bfloat16())
    assert result.dtype == torch.float32
    torch.testing.assert_close(result, image, atol=1e-5, rtol=1e-5)


def test_more_than_256_classes_are_not_folded() -> None:
    def network(windows: torch.Tensor) -> torch.Tensor:
        scores = torch.zeros(len(windows), 300, *windows.shape[2:])
        scores[:, 299] = 1
        return scores

    assert SlabInferer((4, 4, 4), output="labels")(torch.zeros(1, 1, 5, 5, 5), network).unique().tolist() == [299]


@pytest.mark.parametrize("output", ["scores", "labels"])
def test_metadata_of_the_image_is_kept(output: str) -> None:
    image = MetaTensor(volume((1, 1, 9, 9, 9)), meta=meta_tensor(torch.zeros(1), name="a").meta)
    image.applied_operations = [{"class": "Something"}]
    result = SlabInferer((8, 8, 8), output=output)(image, pointwise)
    assert isinstance(result, MetaTensor)
    assert result.meta["name"] == "a"
    assert torch.equal(result.affine, image.affine)
    assert result.applied_operations == image.applied_operations


class _Largest(TorchDispatchMode):
    """Remember the most floating-point elements that any operation returns."""

    elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for item in result if isinstance(result, list | tuple) else [result]:
            if isinstance(item, torch.Tensor) and item.is_floating_point():
                self.elements = max(self.elements, item.untyped_storage().nbytes() // item.element_size())
        return result


def test_labels_never_need_the_scores_of_the_whole_volume() -> None:
    classes, size, roi = 7, (64, 12, 10), (8, 8, 8)
    image = torch.zeros(1, 1, *size)

    def network(windows: torch.Tensor) -> torch.Tensor:
        return windows.expand(-1, classes, -1, -1, -1)

    seen = {}
    for output in ("scores", "labels"):
        with _Largest() as largest:
            SlabInferer(roi, output=output)(image, network)
        seen[output] = largest.elements
    assert seen["scores"] == classes * image.numel()
    assert seen["labels"] == max(classes * roi[0] * size[1] * size[2], image.numel())


def oriented(code: str, spacing: tuple, pixdim: tuple) -> MetaTensor:
    data = {"image": meta_tensor(noise((1, 9, 10, 11)), orientation_affine(code, spacing))}
    return Resampled("image", pixdim)(Orientationd("image", "RAS", labels=None)(data))["image"]


@pytest.mark.parametrize(
    ("code", "spacing", "pixdim", "resampled"),
    [
        ("RAS", (1, 1, 1), (1, 1, 1), False),
        ("SLP", (1, 2, 3), (2, 3, 1), False),
        ("LPI", (1, 1, 2), (1, 1, 1), True),
        ("RAS", (3, 1, 1), (1, 1, 3), True),
        ("AIR", (1, 2, 3), (1, 2, 3), True),
    ],
)
def test_auto_gives_labels_unless_the_image_was_resampled(
    code: str, spacing: tuple, pixdim: tuple, resampled: bool
) -> None:
    """Resampling that only swaps the voxel sizes of two axes is resampling, too."""
    image = oriented(code, spacing, pixdim)
    batch = MetaTensor(image.as_tensor()[None], meta=image.meta)
    assert was_resampled(batch) is resampled
    assert SlabInferer((8, 8, 8))(batch, pointwise).shape[1] == (3 if resampled else 1)


def test_auto_sees_through_oblique_and_collated_affines() -> None:
    image = meta_tensor(noise((1, 9, 9, 9)), rotation(20, -10, 35) @ np.diag([0.8, 1.2, 2.5, 1]))
    turned = Orientationd("image", "PIR", labels=None)({"image": image})["image"]
    resampled = Resampled("image", (1, 1, 1))({"image": image})["image"]
    for item, expected in ((turned, False), (resampled, True)):
        item.meta["original_affine"] = item.meta["original_affine"][None]
        assert was_resampled(item) is expected


def test_auto_gives_labels_of_a_plain_tensor_and_of_one_without_a_file() -> None:
    assert SlabInferer((8, 8, 8))(volume((1, 1, 9, 9, 9)), pointwise).shape[1] == 1
    assert not was_resampled(MetaTensor(torch.zeros(1, 1, 4, 4, 4)))


@pytest.mark.parametrize("size", [1, 7, 8, 9, 15, 16, 17, 40, 41, 99])
@pytest.mark.parametrize("roi", [1, 2, 3, 8, 16])
@pytest.mark.parametrize("overlap", [0, 0.1, 0.25, 0.5, 0.8, 0.9, 0.99])
def test_windows_cover_all_are_evenly_spread_and_overlap_as_asked(size: int, roi: int, overlap: float) -> None:
    starts = window_starts(size, roi, overlap)
    steps = np.diff(starts)
    assert starts[0] == 0
    assert starts[-1] == max(size - roi, 0)
    assert set(range(size)) <= {start + i for start in starts for i in range(roi)}
    if len(starts) > 1:
        assert steps.min() >= 1
        assert steps.max() - steps.min() <= 1
        assert steps.max() <= max(roi * (1 - overlap) + 1e-9, 1)
        fewest = (size - roi) / max(np.floor(roi * (1 - overlap) + 1e-9), 1)
        assert len(starts) == np.ceil(fewest) + 1


def test_the_progress_bar_counts_windows_and_is_silent_without_a_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    SlabInferer((8, 8, 8), progress=True)(torch.zeros(1, 1, 9, 9, 9), pointwise)
    assert capfd.readouterr() == ("", "")


def test_the_progress_bar_shows_on_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    SlabInferer((8, 8, 8), progress=True)(torch.zeros(1, 1, 9, 9, 9), pointwise)
    assert "8/8" in capsys.readouterr().err
    SlabInferer((8, 8, 8))(torch.zeros(1, 1, 9, 9, 9), pointwise)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("overlap", [-0.1, 1, 1.5])
def test_an_overlap_out_of_range_is_refused(overlap: float) -> None:
    with pytest.raises(ValueError, match=rf"overlap must lie in \[0, 1\), got {overlap}"):
        SlabInferer((8, 8, 8), overlap=overlap)


def test_an_unknown_output_is_refused() -> None:
    with pytest.raises(ValueError, match="output must be one of auto, scores, labels, got 'probabilities'"):
        SlabInferer((8, 8, 8), output="probabilities")


def test_an_input_of_other_axes_than_the_window_is_refused() -> None:
    with pytest.raises(ValueError, match=r"roi_size \[8, 8, 8\] does not fit an input of the shape \(1, 1, 9, 9\)"):
        SlabInferer((8, 8, 8))(torch.zeros(1, 1, 9, 9), pointwise)


@pytest.mark.parametrize("axes", [(0,), (2, 0), (0, 1, 2)])
def test_mirroring_averages_the_scores_of_all_mirrored_windows(axes: tuple[int, ...], network: Callable) -> None:
    image = volume((1, 2, 8, 8, 8))
    expected, count = torch.zeros(1, 3, 8, 8, 8), 0
    for flips in itertools.product(*[(False, True)] * len(axes)):
        dims = [axis + 2 for axis, flip in zip(axes, flips, strict=True) if flip]
        expected, count = expected + torch.flip(network(torch.flip(image, dims)), dims), count + 1
    found = SlabInferer((8, 8, 8), output="scores", mirror_axes=axes)(image, network)
    torch.testing.assert_close(found, expected / count, atol=1e-5, rtol=0)


def test_a_mirrored_volume_gets_the_mirrored_result(network: Callable) -> None:
    image = volume((1, 2, 20, 9, 10))
    inferer = SlabInferer((8, 8, 8), overlap=0.5, output="scores", mirror_axes=(0,))
    torch.testing.assert_close(inferer(image.flip(2), network).flip(2), inferer(image, network), atol=1e-5, rtol=0)


def test_mirror_axes_that_are_not_there_are_refused() -> None:
    with pytest.raises(ValueError, match=r"mirror_axes must be spatial axes, 0 to 2, got \[3\]"):
        SlabInferer((8, 8, 8), mirror_axes=(3,))
