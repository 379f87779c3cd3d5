"""The search for the fastest plan whose labels are those of the network in float32."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from .plan_run import Dtype, Plan, carried_out

Stopwatch = Callable[[Plan, Callable[[], torch.Tensor]], tuple[float, torch.Tensor]]
"""Runs a function under a plan and returns the seconds it took and its result."""

SCORE_TOLERANCE = 0.05
"""Largest deviation of the scores, root mean square, in standard deviations of the scores in float32."""
HOPELESS = 2.5
"""A candidate so many times slower than the best one at its first pass, which also sets things up, is left there."""
SLOW = 1.5
"""Candidates within this factor of the best one are tried with larger batches and measured again."""
REPEATS = 2
"""Further passes of these, taking turns."""
TIE = 1.05
"""Plans so close to the fastest count as equal: the more exact, smaller one is taken."""
FEWER = 1.25
"""Fewer threads are taken where they are so many times faster, as on a busy machine."""
MOST_VOXELS = {"cpu": 2**21, "cuda": 2**23}
"""Largest batch that is tried, in voxels: large windows gain nothing by it and take memory."""


@dataclass(frozen=True)
class Trial:
    """What was measured of a plan.

    Attributes:
        plan: the plan.
        seconds: seconds per window, the shortest of some passes.
        agreement: share of the voxels with the label of float32.
        deviation: deviation of the scores, see :data:`SCORE_TOLERANCE`.
        passed: whether labels and scores are close enough.
        failure: message of the error that the plan raised; empty if none.
    """

    plan: Plan
    seconds: float
    agreement: float
    deviation: float
    passed: bool
    failure: str = ""


class Search:
    """Times plans on one window, and compares their scores with those of float32 on several before one is taken.

    Args:
        run: runs the networks on one window, repeated to the batch of the plan, and returns the scores ``(N, K, ...)``.
        check: runs the networks on several different windows and returns their scores; None to compare the scores of
            ``run`` alone.
        stopwatch: times a run.
        device: where the networks run.
        agreement: smallest share of the voxels that must have the label of float32.
        time_limit: seconds of measuring after which no further plan is tried.
        prepare: makes what a plan needs before it runs for the first time, which is not timed; None for nothing.
        several: whether the windows of ``check`` are several of an image; None if there is a ``check``.
        with_int8: also try the network in int8.
    """

    def __init__(
        self,
        run: Callable[[Plan], torch.Tensor],
        stopwatch: Stopwatch,
        *,
        device: torch.device,
        agreement: float,
        time_limit: float,
        check: Callable[[Plan], torch.Tensor] | None = None,
        prepare: Callable[[Plan], Any] | None = None,
        several: bool | None = None,
        with_int8: bool = False,
    ) -> None:
        self.run, self.check, self.stopwatch, self.device = run, check, stopwatch, device
        self.agreement, self.time_limit, self.with_int8 = agreement, time_limit, with_int8
        self.prepare = prepare
        self.several = check is not None if several is None else several
        self.spent, self.complete, self.lasting = 0.0, True, True
        self.tried: list[str] = []
        self.trials: list[Trial] = []
        self.reference: torch.Tensor | None = None
        self.references: torch.Tensor | None = None

    @property
    def best(self) -> Trial:
        """The fastest of the trials that passed; the first trial is the baseline, which passes."""
        return min((trial for trial in self.trials if trial.passed), key=lambda trial: trial.seconds)

    def measure(self, plan: Plan) -> Trial:
        """Time one plan and check its scores; the first one measured is what the others are compared with."""
        try:
            with carried_out(plan, self.device):
                if self.prepare is not None:
                    self.prepare(plan)
                trial = self._measure(plan)
        except Exception as error:
            if self.reference is None:
                raise
            trial = Trial(plan, math.inf, 0.0, math.inf, False, _describe(error))
        self.trials.append(trial)
        return trial

    def confirm(self, trial: Trial) -> Trial:
        """Check the scores of a trial on several windows, and return it with the lowest agreement found."""
        baseline = self.trials[0].plan
        if self.check is None or trial.plan == baseline:
            return trial
        if self.references is None:
            with carried_out(baseline, self.device):
                self.references = self.check(baseline)
        try:
            with carried_out(trial.plan, self.device):
                agreement, deviation = compare(self.check(trial.plan), self.references)
        except Exception as error:
            confirmed = replace(trial, agreement=0.0, deviation=math.inf, passed=False, failure=_describe(error))
        else:
            agreement, deviation = min(agreement, trial.agreement), max(deviation, trial.deviation)
            passed = self._passes(agreement, deviation)
            confirmed = replace(trial, agreement=agreement, deviation=deviation, passed=passed)
        self.trials[self.trials.index(trial)] = confirmed
        return confirmed

    def _passes(self, agreement: float, deviation: float) -> bool:
        return agreement >= self.agreement and deviation <= SCORE_TOLERANCE

    def _measure(self, plan: Plan) -> Trial:
        seconds, scores = self._timed(plan)
        if self.reference is None:
            self.reference = scores[:1]
        agreement, deviation = compare(scores, self.reference)
        passed = self._passes(agreement, deviation)
        if passed and (not self.trials or seconds < HOPELESS * self.best.seconds):
            seconds = self._timed(plan)[0]
        return Trial(plan, seconds, agreement, deviation, passed)

    def _timed(self, plan: Plan) -> tuple[float, torch.Tensor]:
        seconds, scores = self.stopwatch(plan, lambda: self.run(plan))
        self.spent += seconds
        return seconds / plan.batch, scores

    def find(
        self,
        *,
        threads: int | None,
        with_compile: bool = False,
        known: Sequence[Plan] = (),
        tried: Sequence[str] = (),
    ) -> tuple[Trial, Trial]:
        """Try plans, the likely ones first, and return the one to take and the baseline, float32 window by window.

        ``complete`` tells whether every plan of one window was tried, now or earlier; ``tried`` names these.
        ``lasting`` is false where fewer threads were taken, as on a busy machine, or the scores in float32 are not
        finite: such a choice says nothing about other runs.

        Args:
            threads: threads that may be used on a CPU; None elsewhere.
            with_compile: also try the best plan with ``torch.compile``, which takes a minute and no account of the
                time limit; never one in int8.
            known: plans that were the best of an earlier search, measured again first.
            tried: names of the plans that an earlier search has tried, which are left out.
        """
        allowed = threads
        if threads is not None and threads > 1:
            threads, self.spent = self._pick_threads(threads), 0.0
        if not self.measure(Plan(threads=threads)).passed:
            self.complete = self.lasting = False
            return self.trials[0], self.trials[0]
        for plan in known:
            self.measure(plan)
        candidates = single_windows(self.device, threads, with_int8=self.with_int8)
        left = [plan for plan in candidates if str(plan) not in tried]
        now = [str(plan) for plan in left if self._try(plan) is not None]
        self.tried = [str(plan) for plan in candidates if str(plan) in {*tried, *now}]
        self.lasting = threads == allowed
        self.complete = self.lasting and len(self.tried) == len(candidates)
        for trial in self._close():
            self._larger_batches(trial)
        self._repeat()
        choice = self._confirmed_choice()
        if with_compile and choice.plan.dtype != "int8":
            compiled = self.measure(replace(choice.plan, compile=True))
            faster = compiled.passed and compiled.seconds < choice.seconds
            choice = compiled if faster and self.confirm(compiled).passed else choice
        return choice, self.trials[0]

    def _confirmed_choice(self) -> Trial:
        """Return the best plan that also passes on several windows, which the baseline always does."""
        while True:
            choice = self.confirm(smallest([trial for trial in self.trials if trial.passed]))
            if choice.passed:
                return choice

    def _try(self, plan: Plan) -> Trial | None:
        return self.measure(plan) if self.spent < self.time_limit else None

    def _close(self) -> list[Trial]:
        return [trial for trial in self.trials[1:] if trial.passed and trial.seconds <= SLOW * self.best.seconds]

    def _larger_batches(self, trial: Trial) -> None:
        if trial.plan.dtype == "int8":
            return
        before, voxels = trial, self.reference[0, 0].numel() if self.reference is not None else 0
        for batch in (2, 4):
            if batch * voxels > MOST_VOXELS.get(self.device.type, 0):
                return
            larger = self._try(replace(trial.plan, batch=batch))
            if larger is None or not larger.passed or larger.seconds >= before.seconds:
                return
            before = larger

    def _pick_threads(self, threads: int) -> int:
        """Return how many threads to use: all that may be, unless fewer are much faster."""
        count, seconds = threads, {threads: self._pass(threads)}
        while count > 1 and seconds[count] == min(seconds.values()):
            count //= 2
            seconds[count] = self._pass(count)
        fastest = min(seconds, key=lambda number: seconds[number])
        return fastest if FEWER * seconds[fastest] < seconds[threads] else threads

    def _pass(self, threads: int) -> float:
        plan = Plan(threads=threads)
        with carried_out(plan, self.device):
            return min(self._timed(plan)[0] for _ in range(2))

    def _repeat(self) -> None:
        """Measure the baseline and the plans close to the best again, in turn, and keep the shortest times."""
        contenders = [self.trials[0], *self._close()]
        for number in [self.trials.index(trial) for trial in contenders] * REPEATS:
            if self.spent >= self.time_limit:
                return
            trial = self.trials[number]
            with carried_out(trial.plan, self.device):
                seconds = self._timed(trial.plan)[0]
            self.trials[number] = replace(trial, seconds=min(seconds, trial.seconds))


def single_windows(device: torch.device, threads: int | None, *, with_int8: bool = False) -> list[Plan]:
    """Return the plans of one window per batch for a device, except the baseline, the likely ones first."""
    on_cpu = device.type == "cpu"
    half: list[Dtype] = ["bf16"] if on_cpu or torch.cuda.is_bf16_supported() else []
    dtypes: list[Dtype] = ["fp32", *half] if on_cpu else ["fp32", *half, "fp16"]
    plans = [
        Plan(dtype, memory_format, threads=threads, direct=on_cpu and dtype == "fp32")
        for memory_format in ("channels_last", "contiguous")
        for dtype in dtypes
    ]
    int8 = [Plan("int8", threads=threads)] if with_int8 else []
    return [*int8, *(plan for plan in plans if plan != Plan())]


def smallest(trials: list[Trial]) -> Trial:
    """Return the most exact and smallest of the trials that are as good as the fastest."""
    limit = TIE * min(trial.seconds for trial in trials)

    def order(trial: Trial) -> tuple[Any, ...]:
        plan = trial.plan
        return plan.dtype != "fp32", plan.batch, trial.seconds

    return min((trial for trial in trials if trial.seconds <= limit), key=order)


def compare(scores: torch.Tensor, reference: torch.Tensor) -> tuple[float, float]:
    """Return agreement of the labels and deviation of the scores, the worst over a batch.

    Args:
        scores: scores ``(N, K, ...)`` of windows; ``(N, K)`` of a classification.
        reference: their scores in float32, or ``(1, K, ...)`` of the one window that was repeated. Deviations are
            relative to the spread of all of them. One score per voxel is foreground above 0.
    """
    if not torch.isfinite(scores).all():
        return 0.0, math.inf
    same = (_labels(scores) == _labels(reference)).reshape(len(scores), -1).double().mean(1).min()
    spread = (reference - reference.mean()).double().square().mean().sqrt()
    error = (scores - reference).double().square().flatten(1).mean(1).max().sqrt()
    return float(same), float(error / spread.clamp_min(1e-12))


def cpu_time(plan: Plan, run: Callable[[], torch.Tensor]) -> tuple[float, torch.Tensor]:
    """Time a run: by the processor time of a single thread, which other jobs leave alone, else the time that passes."""
    clock = time.thread_time if plan.threads == 1 else time.perf_counter
    start = clock()
    scores = run()
    return clock() - start, scores


def cuda_time(plan: Plan, run: Callable[[], torch.Tensor]) -> tuple[float, torch.Tensor]:
    """Time a run by events on the current stream."""
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    start.record()
    scores = run()
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end) / 1000, scores


def _describe(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _labels(scores: torch.Tensor) -> torch.Tensor:
    return scores.argmax(1) if scores.shape[1] > 1 else scores[:, 0] > 0
