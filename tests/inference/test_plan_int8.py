"""The network in int8 is a plan like others: taken where it is fastest and keeps the labels, on several images."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.int8_files import write_sign_network
from helpers.phantoms import noise
from helpers.plan_doubles import Recorder, Watch

from bundle.inference import SlabInferer, plan_int8
from bundle.inference.plan import PlannedInferer
from bundle.inference.plan_int8 import CHECKED_IMAGES
from bundle.inference.plan_run import Plan
from bundle.utils.errors import BundleError

ROI = (8, 8, 8)
WINDOW = [1, *ROI]
INT8 = "int8, contiguous, 1 window per batch, 1 thread"
FAST_INT8 = {("fp32", "contiguous"): 1.0, ("int8", "contiguous"): 0.2}


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.no_grad():
        yield
    torch.set_num_threads(before)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return tmp_path / "model.pt"


def planned(checkpoint: Path | None, **options: Any) -> PlannedInferer:
    defaults: dict[str, Any] = {"stopwatch": Watch(FAST_INT8), "reuse_memory": False, "time_limit": 100}
    return PlannedInferer(SlabInferer(ROI, output="labels"), checkpoint=checkpoint, **(defaults | options))


class FailsInHalfPrecision(Recorder):
    """Its labels are the opposite under autocast."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(-x if torch.is_autocast_enabled("cpu") else x)


def volume(seed: int = 0, *, size: int = 8, first: float | None = None, last: float | None = None) -> torch.Tensor:
    """Return a volume of values around 0 with a wide spread, and of one value in its first or last plane."""
    image = 200 * torch.as_tensor(noise((1, 1, size, 8, 8), seed))
    for plane, value in ((0, first), (-1, last)):
        if value is not None:
            image[:, :, plane] = value
    return image


def test_it_is_taken_where_it_is_fastest_and_keeps_the_labels(checkpoint: Path) -> None:
    write_sign_network(checkpoint, WINDOW)
    inferer, network, image = planned(checkpoint), Recorder(), volume(size=20)
    labels = inferer(image, network)
    assert inferer.description == f"{INT8} (measured)"
    assert torch.equal(labels, (image < 0).to(torch.uint8))
    assert inferer.chosen is not None
    assert inferer.chosen["agreement"] == 1


def test_without_a_file_nothing_changes(checkpoint: Path, tmp_path: Path) -> None:
    for number, path in enumerate((None, checkpoint)):
        inferer = planned(path, cache_dir=tmp_path / str(number))
        inferer(volume(), Recorder())
        assert inferer.chosen is not None
        assert inferer.chosen["plan"]["dtype"] != "int8"
        assert not any("int8" in name for name in inferer.chosen["tried"])
    kept = [sorted(path.name for path in (tmp_path / name).iterdir()) for name in "01"]
    assert kept[0] == kept[1]


def test_reading_the_file_is_not_timed(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_sign_network(checkpoint, WINDOW)
    events: list[str] = []

    class Read(plan_int8.Int8Network):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            events.append("read")
            super().__init__(*args, **kwargs)

    class Clock(Watch):
        def __call__(self, plan: Plan, run: Callable[[], torch.Tensor]) -> tuple[float, torch.Tensor]:
            events.append(plan.dtype)
            return super().__call__(plan, run)

    monkeypatch.setattr(plan_int8, "Int8Network", Read)
    inferer = planned(checkpoint, stopwatch=Clock(FAST_INT8))
    inferer(volume(), Recorder())
    assert events.count("read") == 1
    assert events.index("read") < events.index("int8")


def test_it_is_not_taken_where_it_is_slower(checkpoint: Path) -> None:
    write_sign_network(checkpoint, WINDOW)
    inferer = planned(checkpoint, stopwatch=Watch({("int8", "contiguous"): 3.0}))
    inferer(volume(), Recorder())
    assert inferer.chosen is not None
    assert inferer.chosen["plan"]["dtype"] == "fp32"
    assert inferer.chosen["failed"] == []


def test_wrong_labels_are_refused_by_the_check(checkpoint: Path) -> None:
    write_sign_network(checkpoint, WINDOW, factors=(-1, 1))
    inferer, image = planned(checkpoint), volume()
    labels = inferer(image, Recorder())
    assert inferer.chosen is not None
    assert INT8 in inferer.chosen["failed"]
    assert torch.equal(labels, (image < 0).to(torch.uint8))


def test_wrong_labels_in_the_mirrored_window_of_a_crop_are_refused(checkpoint: Path) -> None:
    write_sign_network(checkpoint, WINDOW, first_plane=-10)
    inferer = planned(checkpoint)
    inferer(volume(first=100, last=1), Recorder())
    assert inferer.chosen is not None
    assert INT8 in inferer.chosen["failed"]
    assert not inferer.chosen["several_windows"]


def test_wrong_labels_in_a_later_image_end_the_plan(checkpoint: Path, caplog: Any) -> None:
    write_sign_network(checkpoint, WINDOW, first_plane=-10)
    inferer = planned(checkpoint)
    inferer(volume(first=100, last=100), Recorder())
    assert inferer.description == f"{INT8} (measured)"
    image = volume(1, first=1, last=100)
    with caplog.at_level(logging.INFO):
        labels = inferer(image, Recorder())
    assert f"plan: {INT8} failed the check (87.500% of the labels the same)" in caplog.text
    assert inferer.chosen is not None
    assert inferer.chosen["plan"]["dtype"] == "fp32"
    assert INT8 in inferer.chosen["failed"]
    assert torch.equal(labels, (image < 0).to(torch.uint8))


def test_it_is_checked_on_the_first_images_and_not_again_in_later_processes(checkpoint: Path) -> None:
    write_sign_network(checkpoint, WINDOW)
    network, images = Recorder(), [volume(seed) for seed in range(CHECKED_IMAGES + 2)]
    for number, image in enumerate(images):
        inferer = planned(checkpoint)
        inferer(image, network)
        is_checked = number < CHECKED_IMAGES
        assert bool(network.seen) == is_checked
        assert inferer.chosen is not None
        assert inferer.chosen["checked"] == min(number + 1, CHECKED_IMAGES)
        assert inferer.description == f"{INT8} ({'kept' if number else 'measured'})"
        network.seen.clear()


def test_other_plans_that_failed_are_not_measured_again_by_a_further_check(checkpoint: Path) -> None:
    write_sign_network(checkpoint, WINDOW)
    network, watch = FailsInHalfPrecision(), Watch(FAST_INT8)
    inferer = planned(checkpoint, stopwatch=watch)
    inferer(volume(), network)
    assert inferer.chosen is not None
    failed = inferer.chosen["failed"]
    assert {name.split(",")[0] for name in failed} == {"bf16"}
    watch.plans.clear()
    inferer(volume(1), network)
    assert {plan.dtype for plan in watch.plans} == {"fp32", "int8"}
    assert inferer.chosen["failed"] == failed


def test_another_file_is_measured_anew(checkpoint: Path) -> None:
    write_sign_network(checkpoint, WINDOW)
    planned(checkpoint)(volume(), Recorder())
    write_sign_network(checkpoint, WINDOW, factors=(-1, 1))
    inferer = planned(checkpoint)
    inferer(volume(), Recorder())
    assert inferer.chosen is not None
    assert inferer.chosen["source"] == "measured"
    assert INT8 in inferer.chosen["failed"]


def test_a_file_for_other_windows_is_no_candidate(checkpoint: Path, caplog: Any) -> None:
    write_sign_network(checkpoint, [1, 8, 8, 4])
    inferer = planned(checkpoint)
    with caplog.at_level(logging.INFO):
        inferer(volume(), Recorder())
    assert "is for windows [1, 8, 8, 4], not [1, 8, 8, 8], and is not used" in caplog.text
    assert inferer.chosen is not None
    assert not any("int8" in name for name in inferer.chosen["tried"])


def test_it_does_not_replace_several_networks(checkpoint: Path) -> None:
    write_sign_network(checkpoint, WINDOW)
    inferer = planned(checkpoint)
    inferer(volume(), [Recorder(), Recorder()])
    assert inferer.chosen is not None
    assert not any("int8" in name for name in inferer.chosen["tried"])


def test_it_can_be_forced(checkpoint: Path) -> None:
    write_sign_network(checkpoint, WINDOW)
    image = volume(size=20)
    for plan in ("int8", {"dtype": "int8", "batch": 2}):
        network = Recorder()
        inferer = planned(checkpoint, plan=plan)
        assert torch.equal(inferer(image, network), (image < 0).to(torch.uint8))
        assert network.seen == []
        assert inferer.chosen is not None
        assert inferer.chosen["source"] == "forced"


def test_forced_without_a_file_it_is_an_error_that_says_what_to_do(checkpoint: Path) -> None:
    with pytest.raises(
        BundleError, match=r"plan int8 needs .*model_int8.zip, made for these weights by python -m bundle"
    ):
        planned(checkpoint, plan="int8")(volume(), Recorder())
    with pytest.raises(BundleError, match="plan int8 needs a file of it next to the weights"):
        planned(None, plan="int8")(volume(), Recorder())


def test_forced_for_windows_of_another_size_it_is_an_error(checkpoint: Path) -> None:
    write_sign_network(checkpoint, [1, 8, 8, 4])
    with pytest.raises(ValueError, match=r"is for windows of the shape \[1, 8, 8, 4\], got \[1, 8, 8, 8\]"):
        planned(checkpoint, plan="int8")(volume(), Recorder())


def test_forced_for_several_networks_it_is_an_error(checkpoint: Path) -> None:
    write_sign_network(checkpoint, WINDOW)
    with pytest.raises(BundleError, match="plan int8 runs one network, and there are 2"):
        planned(checkpoint, plan="int8")(volume(), [Recorder(), Recorder()])


def test_the_best_plan_is_not_compiled_where_it_is_int8(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    monkeypatch.setattr(torch, "compile", lambda network: made.append(network) or network)
    write_sign_network(checkpoint, WINDOW)
    inferer = planned(checkpoint, compile=True)
    inferer(volume(), Recorder())
    assert inferer.description == f"{INT8} (measured)"
    assert made == []
