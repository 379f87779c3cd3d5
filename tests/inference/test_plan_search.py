"""The search is bounded, takes the fastest plan that passes, and prefers the exact and small one among equals."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from bundle.inference import plan_search
from bundle.inference.plan_run import Plan
from bundle.inference.plan_search import Search, Trial, compare, cpu_time, cuda_time, single_windows, smallest

CPU = torch.device("cpu")
SCORES = torch.tensor([[[1.0, -1.0, 3.0, 0.5], [0.0, 0.0, 0.0, 0.0]]])


def search(
    seconds: Callable[[Plan], float], *, run: Callable[[Plan], torch.Tensor] | None = None, limit: float = 100
) -> tuple[Search, list[Plan]]:
    seen: list[Plan] = []

    def watch(plan: Plan, job: Callable[[], torch.Tensor]) -> tuple[float, torch.Tensor]:
        seen.append(plan)
        return seconds(plan) * plan.batch, job()

    run = run or (lambda plan: SCORES.expand(plan.batch, -1, -1))
    return Search(run, watch, device=CPU, agreement=0.99, time_limit=limit), seen


def bf16_is_fast(plan: Plan) -> float:
    return (0.2 if plan.dtype == "bf16" else 1.0) * (0.5 if plan.memory_format == "channels_last" else 1.0)


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_the_fastest_is_found_and_the_hopeless_are_run_once() -> None:
    found, seen = search(bf16_is_fast)
    choice, baseline = found.find(threads=1)
    assert choice.plan == Plan("bf16", "channels_last", threads=1)
    assert baseline.plan == Plan(threads=1)
    assert (choice.seconds, baseline.seconds) == (0.1, 1.0)
    assert seen.count(Plan("fp32", "contiguous", threads=1, direct=True)) == 1
    assert found.complete


def test_larger_batches_are_taken_where_they_are_faster() -> None:
    choice, _ = search(lambda plan: bf16_is_fast(plan) / plan.batch)[0].find(threads=1)
    assert choice.plan == Plan("bf16", "channels_last", batch=4, threads=1)


def test_larger_batches_stop_where_one_fails_or_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(plan: Plan) -> torch.Tensor:
        if plan.batch > 1:
            raise RuntimeError("out of memory")
        return SCORES

    found, seen = search(lambda plan: bf16_is_fast(plan) / plan.batch, run=run)
    assert found.find(threads=1)[0].plan.batch == 1
    assert not any(plan.batch == 4 for plan in seen)
    assert any("out of memory" in trial.failure for trial in found.trials)
    monkeypatch.setattr(plan_search, "MOST_VOXELS", {"cpu": 2 * SCORES.shape[-1]})
    found, seen = search(lambda plan: bf16_is_fast(plan) / plan.batch)
    assert found.find(threads=1)[0].plan.batch == 2
    assert not any(plan.batch == 4 for plan in seen)


def test_all_threads_are_used_unless_fewer_are_much_faster() -> None:
    quiet, _ = search(lambda plan: bf16_is_fast(plan) / (plan.threads or 1))
    assert quiet.find(threads=4)[0].plan.threads == 4
    assert quiet.complete
    busy, seen = search(lambda plan: bf16_is_fast(plan) * (plan.threads or 1))
    assert busy.find(threads=4)[0].plan == Plan("bf16", "channels_last", threads=1)
    assert not busy.complete
    assert {plan.threads for plan in seen} == {4, 2, 1}
    alike, _ = search(lambda plan: bf16_is_fast(plan) * (1 + 0.1 * ((plan.threads or 1) == 2)))
    assert alike.find(threads=2)[0].plan.threads == 2


def test_on_other_devices_threads_play_no_part() -> None:
    assert search(bf16_is_fast)[0].find(threads=None)[0].plan.threads is None


@pytest.mark.parametrize(("limit", "runs"), [(0, 2), (2.5, 4), (9, 10)])
def test_the_time_is_bounded(limit: float, runs: int) -> None:
    """Every plan takes two passes of a second; that of the baseline is always run."""
    found, seen = search(lambda plan: 1.0, limit=limit)
    assert found.find(threads=1)[0].plan.dtype == "fp32"
    assert len(seen) == runs
    assert found.complete == (limit == 9)


def test_a_later_search_begins_with_the_best_and_tries_what_is_left() -> None:
    first, _ = search(bf16_is_fast, limit=3)
    choice = first.find(threads=1)[0]
    assert (first.complete, first.lasting, len(first.tried)) == (False, True, 1)
    second, seen = search(bf16_is_fast)
    second.find(threads=1, known=[choice.plan], tried=first.tried)
    assert seen[2] == choice.plan
    assert second.complete
    assert second.tried[0] == first.tried[0]
    assert [str(plan) for plan in dict.fromkeys(seen[4:]) if str(plan) in second.tried[1:]] == second.tried[1:]


def test_repeated_passes_keep_the_shortest_time() -> None:
    times = iter([1.0, 1.0, *[0.5, 0.5] * 4, *[0.3] * 100])
    found, _ = search(lambda plan: next(times))
    choice, baseline = found.find(threads=1)
    assert choice.seconds == 0.3
    assert baseline.seconds == 0.3


def test_a_plan_that_gives_other_labels_or_scores_or_no_numbers_is_rejected() -> None:
    for wrong in (SCORES.flip(1), SCORES * 1.2, SCORES * math.nan, SCORES * math.inf):
        found, seen = search(bf16_is_fast, run=lambda plan, wrong=wrong: wrong if plan.dtype == "bf16" else SCORES)
        assert found.find(threads=1)[0].plan == Plan("fp32", "channels_last", threads=1, direct=True)
        assert seen.count(Plan("bf16", "channels_last", threads=1)) == 1


def test_a_network_without_finite_scores_runs_as_it_is() -> None:
    choice, baseline = search(bf16_is_fast, run=lambda plan: SCORES * math.nan)[0].find(threads=1)
    assert choice is baseline
    assert choice.plan == Plan(threads=1)


def test_a_baseline_that_fails_raises() -> None:
    def run(plan: Plan) -> torch.Tensor:
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        search(bf16_is_fast, run=run)[0].find(threads=1)


def checked_search(wrong: Callable[[Plan], Any], **options: Any) -> tuple[Search, list[Plan]]:
    """Return a search whose plans may be wrong in the second of two windows, and the plans that were checked."""
    found, _ = search(bf16_is_fast, **options)
    checked: list[Plan] = []

    def check(plan: Plan) -> torch.Tensor:
        checked.append(plan)
        return torch.cat([SCORES, wrong(plan) if plan != Plan(threads=1) else SCORES])

    found.check = check
    return found, checked


def test_a_plan_that_is_wrong_in_another_window_is_rejected() -> None:
    for wrong in (SCORES.flip(1), SCORES * 1.5, SCORES * math.nan):
        found, _ = checked_search(lambda plan, wrong=wrong: wrong if plan.dtype == "bf16" else SCORES)
        choice, _ = found.find(threads=1)
        assert choice.plan == Plan("fp32", "channels_last", threads=1, direct=True)
        assert choice.agreement == 1
        failed = [trial for trial in found.trials if not trial.passed]
        assert {trial.plan.dtype for trial in failed} == {"bf16"}


def test_the_baseline_is_taken_where_every_other_plan_is_wrong_in_another_window() -> None:
    found, checked = checked_search(lambda plan: SCORES.flip(1))
    choice, baseline = found.find(threads=1)
    assert choice is baseline
    assert checked.count(baseline.plan) == 1


def test_only_plans_that_would_be_taken_are_checked_on_other_windows() -> None:
    found, checked = checked_search(lambda plan: SCORES)
    choice, baseline = found.find(threads=1)
    assert checked == [baseline.plan, choice.plan]


def test_a_plan_that_fails_on_other_windows_is_rejected_with_its_message() -> None:
    def wrong(plan: Plan) -> torch.Tensor:
        raise RuntimeError("out of memory")

    found, _ = checked_search(wrong)
    choice, baseline = found.find(threads=1)
    assert choice is baseline
    assert "RuntimeError: out of memory" in {trial.failure for trial in found.trials}


def test_a_baseline_that_fails_on_other_windows_raises() -> None:
    def check(plan: Plan) -> torch.Tensor:
        raise RuntimeError("broken")

    found, _ = search(bf16_is_fast)
    found.check = check
    with pytest.raises(RuntimeError, match="broken"):
        found.find(threads=1)


@pytest.mark.parametrize("right", [True, False])
def test_a_compiled_plan_is_checked_on_other_windows(right: bool) -> None:
    found, _ = checked_search(lambda plan: SCORES if right or not plan.compile else SCORES.flip(1))
    found.stopwatch = lambda plan, job: ((0.5 if plan.compile else 1) * bf16_is_fast(plan) * plan.batch, job())
    assert found.find(threads=1, with_compile=True)[0].plan.compile == right


@pytest.mark.parametrize("gain", [0.5, 2.0])
def test_compiling_is_taken_where_it_pays(gain: float) -> None:
    found, _ = search(lambda plan: bf16_is_fast(plan) * (gain if plan.compile else 1))
    assert found.find(threads=1, with_compile=True)[0].plan.compile == (gain < 1)


def test_among_equals_the_exact_and_small_plan_is_taken() -> None:
    def trial(seconds: float, **options: Any) -> Trial:
        return Trial(Plan(**options), seconds, 1.0, 0.0, True)

    half, exact = trial(1.0, dtype="bf16"), trial(1.04)
    assert smallest([half, exact]) is exact
    assert smallest([half, trial(1.06)]) is half
    assert smallest([trial(1.0, batch=4), two := trial(1.03, batch=2)]) is two
    assert smallest([trial(1.01), fastest := trial(1.0)]) is fastest


def test_agreement_and_deviation_are_those_of_the_worst_sample() -> None:
    agreement, deviation = compare(torch.cat([SCORES, SCORES.flip(1)]), SCORES)
    assert agreement == 0
    values = [1.0, -1.0, 3.0, 0.5, 0.0, 0.0, 0.0, 0.0]
    spread = (sum((value - sum(values) / 8) ** 2 for value in values) / 8) ** 0.5
    error = (2 * sum(value**2 for value in values[:4]) / 8) ** 0.5
    assert deviation == pytest.approx(error / spread)


def test_one_score_a_voxel_is_foreground_above_zero() -> None:
    assert compare(SCORES[:, :1], SCORES[:, :1])[0] == 1
    assert compare(SCORES[:, :1] + 1.5, SCORES[:, :1])[0] == 0.75


def test_one_thread_is_timed_by_its_processor_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_search.time, "thread_time", iter([1.0, 3.0]).__next__)
    monkeypatch.setattr(plan_search.time, "perf_counter", iter([1.0, 6.0]).__next__)
    assert cpu_time(Plan(threads=1), lambda: SCORES) == (2.0, SCORES)
    assert cpu_time(Plan(threads=2), lambda: SCORES) == (5.0, SCORES)


def test_cuda_is_timed_by_events(monkeypatch: pytest.MonkeyPatch) -> None:
    log: list[str] = []

    class Event:
        def __init__(self, enable_timing: bool) -> None:
            assert enable_timing

        def record(self) -> None:
            log.append("record")

        def elapsed_time(self, end: Event) -> float:
            return 250.0

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: log.append("wait"))
    assert cuda_time(Plan(), lambda: log.append("run") or SCORES) == (0.25, SCORES)
    assert log == ["record", "run", "record", "wait"]


@pytest.mark.parametrize(("bf16", "count"), [(True, 5), (False, 3)])
def test_on_cuda_both_half_precisions_are_candidates(bf16: bool, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: bf16)
    plans = single_windows(torch.device("cuda"), None)
    assert len(plans) == count
    assert ("bf16" in {plan.dtype for plan in plans}) == bf16
    assert "fp16" in {plan.dtype for plan in plans}
    assert not any(plan.direct or plan == Plan() for plan in plans)
