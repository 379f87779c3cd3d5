"""PlannedInferer takes the fastest plan that keeps the labels, remembers it, and leaves the network alone."""

from __future__ import annotations

import copy
import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.phantoms import noise
from helpers.plan_doubles import Brittle, Recorder, Watch
from monai.data import MetaTensor
from monai.inferers import SlidingWindowInferer
from monai.networks.nets import UNet

from bundle.inference import SlabInferer
from bundle.inference import plan as plan_module
from bundle.inference.plan import PlannedInferer
from bundle.inference.plan_cache import PlanCache

ROI = (8, 8, 8)
FAST_BF16 = {("fp32", "contiguous"): 1.0, ("fp32", "channels_last"): 0.6, ("bf16", "channels_last"): 0.2}


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    torch.manual_seed(0)
    return UNet(3, 1, 3, channels=(4, 8), strides=(2,)).eval()


@pytest.fixture(autouse=True)
def no_gradients() -> Any:
    with torch.no_grad():
        yield


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "keyslice"


def volume(shape: tuple[int, ...] = (1, 1, 12, 8, 8), seed: int = 0) -> torch.Tensor:
    return torch.as_tensor(noise(shape, seed))


def planned(**options: Any) -> PlannedInferer:
    defaults: dict[str, Any] = {"stopwatch": Watch(FAST_BF16), "reuse_memory": False, "time_limit": 100}
    return PlannedInferer(SlabInferer(ROI, output="scores"), **(defaults | options))


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    assert torch.get_num_threads() == 1
    torch.set_num_threads(before)


def test_the_fastest_plan_that_keeps_the_labels_is_taken_and_reported(network: Any, caplog: Any) -> None:
    inferer = planned(agreement=0.9)
    with caplog.at_level(logging.INFO):
        inferer(volume(), network)
    assert inferer.chosen is not None
    assert inferer.chosen["plan"]["dtype"] == "bf16"
    assert inferer.chosen["plan"]["memory_format"] == "channels_last"
    assert inferer.chosen["source"] == "measured"
    assert inferer.chosen["ms_per_window"] == 200
    assert inferer.chosen["fp32_ms_per_window"] == 1000
    assert inferer.chosen["speed_up"] == 5
    assert 0.9 <= inferer.chosen["agreement"] <= 1
    (line,) = [record.message for record in caplog.records if record.message.startswith("plan:")]
    assert line.startswith(
        "plan: bf16, channels_last, 1 window per batch, 1 thread: 200 ms per window, 5 times as fast"
    )
    json.dumps(inferer.chosen)


def test_a_plan_whose_labels_differ_is_not_taken() -> None:
    inferer = planned()
    result = inferer(volume(), Brittle())
    assert inferer.chosen is not None
    assert inferer.chosen["plan"]["dtype"] == "fp32"
    assert inferer.chosen["agreement"] == 1
    failed = [trial for trial in inferer.trials if trial.plan.dtype == "bf16"]
    assert failed
    assert not any(trial.passed for trial in failed)
    torch.testing.assert_close(result, SlabInferer(ROI, output="scores")(volume(), Brittle()))


class FailsInAir(Brittle):
    """Its labels differ in half precision where a window has one value."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) if x.std() == 0 else torch.cat([x, -x], dim=1)


def with_air() -> torch.Tensor:
    """Return a volume of three windows, one of them air."""
    image = volume((1, 1, 24, 8, 8))
    image[:, :, :8] = 0.5
    return image


def test_a_plan_whose_labels_differ_in_the_background_is_not_taken() -> None:
    inferer = planned(agreement=0.9)
    inferer(with_air(), FailsInAir())
    assert inferer.chosen is not None
    assert inferer.chosen["plan"]["dtype"] == "fp32"
    assert inferer.chosen["several_windows"]
    assert any(line.startswith("bf16") for line in inferer.chosen["failed"])


def test_a_choice_made_on_a_small_volume_is_checked_on_the_first_large_one(cache: Path) -> None:
    small, network = volume((1, 1, 8, 8, 8)), FailsInAir()
    inferer = planned(agreement=0.9)
    inferer(small, network)
    assert inferer.chosen is not None
    assert inferer.chosen["plan"]["dtype"] == "bf16"
    assert not inferer.chosen["several_windows"]
    inferer(with_air(), network)
    assert inferer.chosen["plan"]["dtype"] == "fp32"
    watch = Watch({})
    for image in (small, with_air()):
        later = planned(agreement=0.9, stopwatch=watch)
        later(image, network)
        assert later.chosen == {**inferer.chosen, "source": "kept"}
    assert watch.plans == []


def test_results_are_those_of_the_wrapped_inferer(network: torch.nn.Module) -> None:
    image = volume((1, 1, 20, 12, 10))
    plain = SlabInferer(ROI, output="scores")(image, network)
    exact = planned(plan={"memory_format": "channels_last", "batch": 2, "direct": True})(image, network)
    half = planned(plan="bf16")(image, network)
    torch.testing.assert_close(exact, plain, atol=1e-5, rtol=1e-5)
    assert half.dtype == torch.float32
    sure = plain.topk(2, dim=1).values.diff(dim=1).abs()[:, 0] > 0.05 * plain.std()
    assert sure.float().mean() > 0.5
    assert torch.equal(half.argmax(1)[sure], plain.argmax(1)[sure])


def test_the_network_and_the_inferer_are_left_as_they_were(network: torch.nn.Module) -> None:
    before = copy.deepcopy(network.state_dict())
    strides = [value.stride() for value in network.state_dict().values()]
    inner = SlabInferer(ROI, sw_batch_size=3, networks=[network])
    inferer = PlannedInferer(inner, stopwatch=Watch(FAST_BF16), reuse_memory=False, agreement=0)
    inferer(volume(), network)
    after = network.state_dict()
    assert inner.sw_batch_size == 3
    assert inner.networks == [network]
    assert all(torch.equal(after[key], before[key]) and after[key].dtype == before[key].dtype for key in before)
    assert [value.stride() for value in after.values()] == strides
    assert not network.training


def test_the_inferer_is_restored_after_an_error() -> None:
    def broken(windows: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("no")

    inferer = planned(plan={"batch": 2})
    with pytest.raises(RuntimeError, match="no"):
        inferer(volume(), broken)
    assert inferer.inferer.sw_batch_size == 1


def test_the_error_of_a_network_that_fails_in_float32_is_raised() -> None:
    def broken(windows: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("no such layer")

    with pytest.raises(RuntimeError, match="no such layer"):
        planned()(volume(), broken)


def test_a_forced_plan_is_carried_out_unmeasured(caplog: Any) -> None:
    watch, network = Watch(FAST_BF16), Recorder()
    options = {"dtype": "bf16", "memory_format": "channels_last", "batch": 2, "threads": 2}
    inferer = planned(plan=options, stopwatch=watch)
    with caplog.at_level(logging.INFO):
        inferer(volume((1, 1, 12, 12, 8)), network)
        inferer(volume((1, 1, 12, 12, 8)), network)
    assert network.seen == [(2, True, True, 2)] * 4
    assert watch.plans == []
    assert inferer.chosen == {"plan": {**options, "direct": False, "compile": False}, "source": "forced"}
    assert len(caplog.records) == 1


@pytest.mark.parametrize(("plan", "told"), [("fp32", "(off)"), ("bf16", "(forced)")])
def test_the_result_carries_the_plan_in_its_metadata(network: torch.nn.Module, plan: str, told: str) -> None:
    inferer = PlannedInferer(SlidingWindowInferer(ROI, 1), plan=plan)
    assert inferer.description is None
    inferer(torch.zeros(1, 1, *ROI), network)
    text = inferer.description
    assert text.startswith(plan)
    assert text.endswith(told)


@pytest.mark.parametrize("dtype", ["bf16", "fp16"])
def test_a_precision_alone_is_a_plan_with_the_batch_of_the_inferer(dtype: str) -> None:
    network = Recorder()
    inferer = PlannedInferer(SlabInferer(ROI, sw_batch_size=2), plan=dtype, reuse_memory=False)
    inferer(volume(), network)
    assert network.seen == [(2, True, True, 1)]


def test_fp32_turns_the_plan_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bundle.inference.plan.reuse_memory", lambda: pytest.fail("touched the allocator"))
    network = Recorder()
    inferer = planned(plan="fp32", reuse_memory=True)
    for _ in range(2):
        result = inferer(volume(), network)
        assert torch.equal(result, SlabInferer(ROI, output="scores")(volume(), Recorder()))
    assert network.seen == [(1, False, False, 1)] * 4
    assert inferer.chosen is not None
    assert inferer.chosen["source"] == "off"


def test_the_allocator_is_set_to_keep_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setattr("bundle.inference.plan.reuse_memory", lambda: calls.append(True))
    planned(plan="bf16", reuse_memory=True)(volume(), Recorder())
    assert calls


def test_a_choice_is_kept_for_the_next_run(network: torch.nn.Module, cache: Path) -> None:
    first = planned(agreement=0.5)
    first(volume(), network)
    watch = Watch({})
    second = planned(agreement=0.5, stopwatch=watch)
    second(volume(), network)
    assert watch.plans == []
    assert first.chosen is not None
    assert second.chosen == {**first.chosen, "source": "kept"}
    assert len(list(cache.iterdir())) == 1


def test_a_choice_made_in_too_short_a_time_holds_for_this_process_and_is_improved_by_the_next(
    network: torch.nn.Module, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = planned(agreement=0.5, time_limit=0.5)
    first(volume(), network)
    assert first.chosen is not None
    assert not first.chosen["complete"]
    second = planned(agreement=0.5, stopwatch=Watch({}))
    second(volume(), network)
    assert second.chosen == {**first.chosen, "source": "kept"}
    monkeypatch.setattr(PlanCache, "_passing", {})
    watch = Watch(FAST_BF16)
    later = planned(agreement=0.5, stopwatch=watch)
    later(volume(), network)
    assert later.chosen is not None
    assert later.chosen["complete"]
    assert set(later.chosen["tried"]) > set(first.chosen["tried"])
    assert later.chosen["source"] == "measured"
    last = planned(agreement=0.5, stopwatch=Watch({}))
    last(volume(), network)
    assert last.chosen == {**later.chosen, "source": "kept"}


def test_few_large_windows_are_not_measured(
    network: torch.nn.Module, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan_module, "LARGE_WINDOW", 0)
    watch = Watch(FAST_BF16)
    inferer = planned(agreement=0.5, stopwatch=watch)
    inferer(volume((1, 1, 8, 8, 8)), network)
    assert watch.plans == []
    assert inferer.description == "fp32, contiguous, 1 window per batch, 1 thread (few windows, not measured)"
    for _ in range(plan_module.FEW_WINDOWS):
        inferer(volume((1, 1, 8, 8, 8)), network)
    assert watch.plans
    assert inferer.chosen is not None
    assert inferer.chosen["source"] == "measured"


def test_a_choice_made_on_a_busy_machine_holds_for_this_process(
    network: torch.nn.Module, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan_module, "_threads", lambda device: 4)
    first = planned(agreement=0.5, stopwatch=Watch({}, scale=lambda plan: plan.threads or 1))
    first(volume(), network)
    assert first.chosen is not None
    assert not first.chosen["complete"]
    watch = Watch({})
    second = planned(agreement=0.5, stopwatch=watch)
    second(volume(), network)
    assert watch.plans == []
    assert second.chosen == {**first.chosen, "source": "kept"}
    other = copy.deepcopy(network)
    for parameter in other.parameters():
        parameter.mul_(1.1)
    planned(agreement=0.5)(volume(), other)
    assert not cache.exists()


def test_nothing_is_measured_twice_in_a_run(network: torch.nn.Module) -> None:
    watch = Watch(FAST_BF16)
    inferer = planned(stopwatch=watch, cache_dir="")
    inferer(volume(), network)
    count = len(watch.plans)
    inferer(volume(seed=1), network)
    assert len(watch.plans) == count


def test_cache_dir_names_the_folder_and_an_empty_one_keeps_nothing(network: Any, cache: Path, tmp_path: Path) -> None:
    planned(cache_dir="")(volume(), network)
    planned(cache_dir=tmp_path / "mine")(volume(), network)
    assert not cache.exists()
    assert len(list((tmp_path / "mine").iterdir())) == 1


@pytest.mark.parametrize("content", ["", "{", "[]", '{"key": 1}', "chosen", "figures"])
def test_a_kept_choice_that_is_damaged_is_made_anew(network: torch.nn.Module, cache: Path, content: str) -> None:
    planned(agreement=0.5)(volume(), network)
    (file,) = cache.iterdir()
    whole = json.loads(file.read_text())
    if content == "chosen":
        whole["chosen"]["plan"]["dtype"] = "fp7"
        content = json.dumps(whole)
    if content == "figures":
        del whole["chosen"]["speed_up"]
        content = json.dumps(whole)
    file.write_text(content)
    inferer = planned(agreement=0.5)
    inferer(volume(), network)
    assert inferer.chosen is not None
    assert inferer.chosen["source"] == "measured"
    assert json.loads(file.read_text())["chosen"]["plan"]["dtype"] == "bf16"


def test_another_machine_network_or_window_has_a_separate_choice(
    network: torch.nn.Module, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned()(volume(), network)
    planned()(volume(), UNet(3, 1, 3, channels=(4, 4), strides=(2,)).eval())
    PlannedInferer(SlabInferer((8, 8, 4)), stopwatch=Watch(FAST_BF16), reuse_memory=False)(volume(), network)
    monkeypatch.setattr("bundle.inference.plan_cache._cpu_name", lambda: "another")
    planned()(volume(), network)
    assert len(list(cache.iterdir())) == 4


def test_for_other_weights_the_kept_plan_is_checked_again(network: torch.nn.Module) -> None:
    planned(agreement=0.5)(volume(), network)
    other = copy.deepcopy(network)
    for parameter in other.parameters():
        parameter.mul_(1.1)
    watch = Watch(FAST_BF16)
    inferer = planned(agreement=0.5, stopwatch=watch)
    inferer(volume(), other)
    assert inferer.chosen is not None
    assert inferer.chosen["source"] == "kept"
    assert {(plan.dtype, plan.memory_format) for plan in watch.plans} == {
        ("fp32", "contiguous"),
        ("bf16", "channels_last"),
    }
    again = Watch({})
    planned(agreement=0.5, stopwatch=again)(volume(), other)
    assert again.plans == []


def test_a_kept_plan_that_fails_for_other_weights_is_replaced() -> None:
    class Fragile(Brittle):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x) if self.conv.weight.item() > 1 else torch.cat([x, x - self.conv(x) - 3], dim=1)

    network = Fragile()
    first = planned()
    first(volume(), network)
    assert first.chosen is not None
    assert first.chosen["plan"]["dtype"] == "bf16"
    network.conv.weight.fill_(2)
    first(volume(), network)
    assert first.chosen is not None
    assert first.chosen["source"] == "measured"
    assert first.chosen["plan"]["dtype"] == "fp32"


def test_for_other_weights_plans_that_failed_get_another_chance(cache: Path) -> None:
    class Sturdy(Brittle):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x) if self.conv.weight.item() == 1 else torch.cat([x, x - self.conv(x) - 3], dim=1)

    network = Sturdy()
    inferer = planned()
    inferer(volume(), network)
    assert inferer.chosen is not None
    assert inferer.chosen["plan"]["dtype"] == "fp32"
    assert all(line.startswith("bf16") for line in inferer.chosen["failed"])
    network.conv.weight.fill_(2)
    inferer(volume(), network)
    assert inferer.chosen["plan"]["dtype"] == "bf16"
    assert inferer.chosen["failed"] == []


def test_nothing_is_kept_of_a_network_without_finite_scores(cache: Path) -> None:
    network = Recorder()
    network.weight.fill_(float("nan"))
    inferer = planned()
    inferer(volume(), network)
    assert inferer.chosen is not None
    assert inferer.chosen["plan"]["dtype"] == "fp32"
    assert not cache.exists()


def test_a_folder_that_cannot_be_written_is_no_error(network: torch.nn.Module, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    inferer = planned(cache_dir=tmp_path / "file" / "folder")
    inferer(volume(), network)
    assert inferer.chosen is not None


def test_functions_have_plans_too_that_are_not_kept(cache: Path) -> None:
    watch = Watch(FAST_BF16)

    def pointwise(windows: torch.Tensor) -> list[torch.Tensor]:
        return [torch.cat([windows, -windows], dim=1)]

    inferer = PlannedInferer(
        SlidingWindowInferer(ROI, overlap=0), stopwatch=watch, reuse_memory=False, agreement=0.9, time_limit=100
    )
    for _ in range(2):
        result = inferer(volume((1, 1, 16, 8, 8)), pointwise)
    assert result.shape == (1, 2, 16, 8, 8)
    assert inferer.chosen is not None
    assert inferer.chosen["weights"] is None
    assert not cache.exists()
    count = len(watch.plans)
    inferer(volume((1, 1, 16, 8, 8)), lambda windows: {"scores": torch.cat([windows, -windows], dim=1)})
    assert len(watch.plans) > count


def test_several_networks_run_by_one_plan() -> None:
    one, two, three = Recorder(), Recorder(), Recorder()
    inner = SlabInferer(ROI, output="scores", networks=[three])
    inferer = PlannedInferer(inner, plan={"memory_format": "channels_last", "batch": 2}, reuse_memory=False)
    inferer(volume(), [one, two])
    assert one.seen == two.seen == three.seen == [(2, True, False, 1)]


class Halves:
    """An inferer that prepares the window of the network itself: every second column of its inputs."""

    sw_batch_size, roi_size = 1, ()

    def __call__(self, inputs: torch.Tensor, network: Any) -> torch.Tensor:
        return network(inputs[..., ::2])

    def example(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs[:1, ..., ::2]


def test_an_inferer_that_prepares_windows_is_measured_with_its_example() -> None:
    shapes: list[tuple[int, ...]] = []

    def classify(windows: torch.Tensor) -> torch.Tensor:
        shapes.append(tuple(windows.shape))
        return torch.stack([windows.mean((1, 2, 3)), windows.amax((1, 2, 3))], dim=1)

    inferer = PlannedInferer(Halves(), stopwatch=Watch(FAST_BF16), reuse_memory=False, time_limit=100)
    images = volume((1, 3, 8, 6))
    torch.testing.assert_close(inferer(images, classify), classify(images[..., ::2]))
    assert {shape[1:] for shape in shapes} == {(3, 8, 3)}
    assert inferer.chosen is not None
    assert inferer.chosen["agreement"] == 1


def test_the_window_of_the_measurement_is_the_middle_of_the_volume() -> None:
    seen = []

    def keep(windows: torch.Tensor) -> torch.Tensor:
        seen.append(windows.clone())
        return torch.cat([windows, -windows], dim=1)

    image = volume((1, 1, 14, 5, 8))
    planned(time_limit=0)(MetaTensor(image), keep)
    middle = torch.zeros(1, 1, 8, 8, 8)
    middle[..., 1:6, :] = image[:, :, 3:11]
    assert torch.equal(seen[0], middle)


def test_windows_that_the_inferer_skips_are_not_run() -> None:
    inner = SlabInferer(ROI, output="scores", skip_constant=True)
    inferer = PlannedInferer(inner, stopwatch=Watch(FAST_BF16), reuse_memory=False, agreement=0.9, time_limit=100)
    image = with_air().flip(2)
    inferer(image, FailsInAir())
    assert inferer.chosen is not None
    assert inferer.chosen["plan"]["dtype"] == "bf16"


def test_the_compiled_network_is_made_once_and_run(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    monkeypatch.setattr(torch, "compile", lambda network: made.append(network) or network)
    network = Recorder()
    watch = Watch(FAST_BF16, lambda plan: 0.5 if plan.compile else 1)
    inferer = planned(compile=True, stopwatch=watch, agreement=0.5)
    inferer(volume(), network)
    inferer(volume(), network)
    assert inferer.chosen is not None
    assert inferer.chosen["plan"]["compile"]
    assert made == [network]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"plan": "fast"}, "plan must be auto, fp32, bf16, fp16, int8, or a dictionary of options, got 'fast'"),
        ({"plan": {"speed": 1}}, "plan must have no options but dtype, .*, got speed"),
        ({"plan": {"dtype": "int4"}}, "the dtype of a plan must be one of fp32, bf16, fp16, int8, got 'int4'"),
        ({"plan": {"memory_format": "blocked"}}, "the memory_format of a plan must be one of .*, got 'blocked'"),
        ({"plan": {"batch": 0}}, "plan must have batch of at least 1, an integer, got 0"),
        ({"plan": {"threads": 1.5}}, "plan must have threads of at least 1, an integer, got 1.5"),
        ({"agreement": 1.1}, r"agreement must lie in \[0, 1\], got 1.1"),
        ({"time_limit": -1}, "time_limit must not be negative, got -1"),
    ],
)
def test_mistakes_are_said_in_words(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        planned(**options)


def test_an_inferer_without_windows_is_refused() -> None:
    with pytest.raises(ValueError, match="inferer must have roi_size and sw_batch_size, got function"):
        PlannedInferer(pointless)


def pointless(inputs: torch.Tensor, network: Any) -> torch.Tensor:
    return inputs
