"""SlabInferer blends windows as MONAI does, and finishes labels without ever holding all scores."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from helpers.phantoms import meta_tensor, noise, orientation_affine, rotation
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from monai.data import MetaTensor, decollate_batch, list_data_collate
from monai.inferers import sliding_window_inference
from monai.networks.nets import UNet
from monai.transforms import Compose, Invertd, Orientationd, Spacingd
from torch.utils._python_dispatch import TorchDispatchMode

from bundle.grid import LabelMapAssembler, ResampleSpacingd
from bundle.inference import SlabInferer
from bundle.inference.slab import was_resampled

SAME_WINDOWS = [  # (size, window, overlap): even spread and MONAI's steps lead to the same windows
    ((24, 16, 20), (8, 8, 8), 0.5),
    ((16, 16, 16), (16, 16, 16), 0.25),
    ((14, 8, 20), (8, 8, 8), 0.25),
    ((5, 16, 12), (8, 8, 8), 0.5),
    ((5, 6, 7), (8, 8, 8), 0.25),
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


@settings(deadline=None, derandomize=True, database=None, max_examples=60, suppress_health_check=list(HealthCheck))
@given(
    st.tuples(*[st.integers(3, 14)] * 3),
    st.tuples(*[st.sampled_from((4, 6, 8))] * 3),
    st.floats(0, 0.9),
    st.sampled_from(("gaussian", "constant")),
    st.integers(1, 5),
    st.integers(1, 2),
)
def test_scores_are_bit_equal_to_those_of_monai_with_its_steps(
    network: Callable, size: tuple, roi: tuple, overlap: float, mode: str, sw_batch_size: int, batch: int
) -> None:
    image = volume((batch, 2, *size))
    ours = SlabInferer(roi, overlap=overlap, mode=mode, sw_batch_size=sw_batch_size, output="scores", spread="scan")(
        image, network
    )
    assert torch.equal(ours, sliding_window_inference(image, roi, sw_batch_size, network, overlap=overlap, mode=mode))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_windows_along_another_axis_give_the_same_scores_within_rounding(axis: int, network: Callable) -> None:
    image = volume((2, 2, 11, 19, 14))
    first, other = (
        SlabInferer((8, 8, 8), overlap=0.6, output="scores", slab_axis=slab_axis)(image, network)
        for slab_axis in (0, axis)
    )
    torch.testing.assert_close(other, first, atol=1e-6, rtol=1e-6)
    labels = SlabInferer((8, 8, 8), overlap=0.6, output="labels", slab_axis=axis)(image, network)
    assert (labels[:, 0] == first.argmax(1)).float().mean() > 0.999


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


def test_a_window_may_take_all_of_an_axis(network: Callable) -> None:
    image = volume((1, 2, 20, 10, 12))
    found, whole = (SlabInferer(roi, output="scores")(image, network) for roi in ((8, -1, 12), (8, 10, 12)))
    assert torch.equal(found, whole)


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
    return ResampleSpacingd("image", pixdim)(Orientationd("image", "RAS", labels=None)(data))["image"]


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
    resampled = ResampleSpacingd("image", (1, 1, 1))({"image": image})["image"]
    for item, expected in ((turned, False), (resampled, True)):
        item.meta["original_affine"] = item.meta["original_affine"][None]
        assert was_resampled(item) is expected


def test_auto_gives_labels_of_a_plain_tensor_and_of_one_without_a_file() -> None:
    assert SlabInferer((8, 8, 8))(volume((1, 1, 9, 9, 9)), pointwise).shape[1] == 1
    assert not was_resampled(MetaTensor(torch.zeros(1, 1, 4, 4, 4)))


def test_the_progress_bar_counts_windows_and_is_silent_without_a_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    SlabInferer((8, 8, 8), progress=True)(torch.zeros(1, 1, 9, 9, 9), pointwise)
    assert capfd.readouterr() == ("", "")


def test_the_progress_bar_shows_on_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    SlabInferer((8, 8, 8), progress=True)(torch.zeros(1, 1, 9, 9, 9), pointwise)
    assert "8/8" in capsys.readouterr().err
    SlabInferer((8, 8, 8))(torch.zeros(1, 1, 9, 9, 9), pointwise)
    assert capsys.readouterr().err == ""


def test_an_input_of_other_axes_than_the_window_is_refused() -> None:
    with pytest.raises(ValueError, match=r"roi_size \[8, 8, 8\] does not fit an input of the shape \(1, 1, 9, 9\)"):
        SlabInferer((8, 8, 8))(torch.zeros(1, 1, 9, 9), pointwise)


class _Seen:
    """A network of one voxel that remembers the windows it got."""

    def __init__(self) -> None:
        self.windows: list[torch.Tensor] = []

    def __call__(self, windows: torch.Tensor) -> torch.Tensor:
        self.windows += [window.clone() for window in windows]
        return pointwise(windows)


@pytest.mark.parametrize("sw_batch_size", [1, 3])
def test_constant_windows_are_skipped_counted_and_background(
    sw_batch_size: int, caplog: pytest.LogCaptureFixture
) -> None:
    image = torch.full((1, 1, 40, 8, 8), -2.0)
    image[:, :, 17:22] = volume((1, 1, 5, 8, 8)) + 3
    inferer = SlabInferer((8, 8, 8), overlap=0, output="scores", skip_constant=True, sw_batch_size=sw_batch_size)
    seen = _Seen()
    with caplog.at_level("INFO", logger="bundle.inference.slab"):
        found = inferer(MetaTensor(image), seen)
    assert len(seen.windows) == 2
    assert (inferer.windows, inferer.windows_skipped) == (5, 3)
    assert "skipped 3 of 5 windows, which are constant" in caplog.text
    expected = pointwise(image)
    for start in (8, 24, 32):
        expected[:, :, start : start + 8] = torch.tensor([20.0, 0, 0]).reshape(1, 3, 1, 1, 1)
    torch.testing.assert_close(found.as_tensor(), expected)
    labels = SlabInferer((8, 8, 8), overlap=0, output="labels", skip_constant=True)(image, pointwise)
    assert torch.equal(labels[:, 0].long(), expected.argmax(1))


def test_a_voxel_that_any_window_sees_keeps_its_scores_when_others_are_skipped() -> None:
    image = torch.zeros(2, 1, 30, 8, 8)
    image[:, :, 12] = 1
    found = SlabInferer((8, 8, 8), overlap=0.5, output="scores", skip_constant=True)(image, pointwise)
    seen = (found[:, 0] != 20)[:, :, 0, 0].nonzero()
    assert seen.tolist() == [[0, plane] for plane in range(19)] + [[1, plane] for plane in range(7, 19)]
    torch.testing.assert_close(found[1, :, 7:19], pointwise(image)[1, :, 7:19])


def test_a_window_that_is_constant_in_one_channel_alone_is_not_skipped() -> None:
    image = torch.zeros(1, 2, 16, 8, 8)
    image[:, 1] = volume((1, 16, 8, 8))
    seen = _Seen()
    SlabInferer((8, 8, 8), overlap=0, skip_constant=True)(image, seen)
    assert len(seen.windows) == 2


def test_nothing_is_skipped_unless_that_is_asked_for() -> None:
    seen = _Seen()
    result = SlabInferer((8, 8, 8), overlap=0)(MetaTensor(torch.zeros(1, 1, 24, 8, 8)), seen)
    assert len(seen.windows) == 3
    assert "windows" not in result.meta


def test_a_hook_hears_of_every_batch_of_windows() -> None:
    heard: list[tuple[int, int]] = []
    inferer = SlabInferer((8, 8, 8), sw_batch_size=3)
    inferer.on_window = lambda done, count: heard.append((done, count))
    inferer(torch.zeros(1, 1, 9, 9, 9), pointwise)
    assert heard == [(3, 8), (6, 8), (8, 8)]


class _Collector:
    """An assembler that keeps what it gets."""

    def __init__(self) -> None:
        self.slabs: list[torch.Tensor] = []

    def start(self, image: torch.Tensor, *, classes: int, axis: int) -> _Collector:
        self.started = (image, classes, axis)
        return self

    def add(self, scores: torch.Tensor) -> None:
        self.slabs.append(scores.clone())

    def finish(self) -> torch.Tensor:
        return torch.cat(self.slabs, self.started[2] + 1)[None]


@pytest.mark.parametrize("axis", [None, 0, 1, 2])
@pytest.mark.parametrize("size", [(20, 9, 11), (5, 6, 23), (5, 30, 7), (3, 4, 5)], ids=str)
def test_an_assembler_gets_the_scores_slab_by_slab_without_the_padding(
    size: tuple, axis: int | None, network: Callable
) -> None:
    image = volume((1, 2, *size))
    assembler = _Collector()
    found = SlabInferer((8, 8, 8), assembler=assembler, slab_axis=axis)(image, network)
    assert assembler.started[0] is image
    assert assembler.started[1] == 3
    assert axis is None or assembler.started[2] == axis
    expected = SlabInferer((8, 8, 8), output="scores")(image, network)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-6)


def test_labels_on_the_grid_of_the_file_are_those_of_whole_scores() -> None:
    """The same network through an assembler, and through whole scores, Invertd and arg-max of MONAI."""
    file = meta_tensor(noise((1, 9, 10, 31)), orientation_affine("LPS", (0.8, 1.1, 1)), spatial_shape=(9, 10, 31))
    pre = Compose([Orientationd("image", "RAS", labels=None), Spacingd("image", (1.5, 1.5, 1.5))])
    data = pre({"image": file})
    batch = list_data_collate([data])["image"]
    ours = decollate_batch(SlabInferer((8, 8, 8), assembler=LabelMapAssembler())(batch, pointwise))[0]
    scores = SlabInferer((8, 8, 8), output="scores", spread="scan")(batch, pointwise)
    data["pred"] = decollate_batch(scores)[0]
    inverted = Invertd("pred", pre, orig_keys="image", nearest_interp=False)(data)["pred"]
    best = inverted.topk(2, dim=0)
    sure = best.values[0] - best.values[1] > 1e-4
    assert ours.shape == file.shape
    assert sure.float().mean() > 0.99
    assert torch.equal(ours[0][sure].long(), best.indices[0][sure])
    assert len(ours.unique()) == 3


def test_a_batch_of_several_cases_is_refused_with_an_assembler() -> None:
    with pytest.raises(ValueError, match="inputs must be one case for an assembler, got a batch of 2"):
        SlabInferer((8, 8, 8), assembler=_Collector())(torch.zeros(2, 1, 9, 9, 9), pointwise)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"overlap": -0.1}, r"overlap must lie in \[0, 1\), got -0.1"),
        ({"overlap": 1}, r"overlap must lie in \[0, 1\), got 1"),
        ({"output": "probabilities"}, "output must be one of auto, scores, labels, got 'probabilities'"),
        ({"output": "scores", "assembler": _Collector()}, "output must not be 'scores' with an assembler"),
        ({"spread": "random"}, "spread must be one of even, scan, got 'random'"),
        ({"slab_axis": 3}, "slab_axis must be a spatial axis, 0 to 2, or None, got 3"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SlabInferer((8, 8, 8), **options)
