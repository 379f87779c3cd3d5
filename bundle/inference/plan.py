"""The plan: how a network runs fastest on this machine without changing its labels.

The fastest precision, memory format, number of windows per batch and number of threads differ between networks and
machines by a factor of three and more. They are measured once, on windows of the first case, and kept.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast, get_args

import torch
from monai.inferers import Inferer
from monai.utils import fall_back_tuple

from bundle.utils.errors import BundleError

from .plan_cache import PlanCache, default_folder, describe_machine, describe_networks
from .plan_int8 import Int8Candidate, is_unchecked
from .plan_run import Dtype, Plan, carried_out, planned, reuse_memory
from .plan_search import Search, Stopwatch, Trial, cpu_time, cuda_time
from .plan_windows import sample_windows

logger = logging.getLogger(__name__)

Network = Callable[..., Any]

FEW_WINDOWS, LARGE_WINDOW = 8, 2**18
"""Measuring takes as long as about so many windows; below so many of more than so many voxels it does not pay."""

FEW_SOURCE = "few windows, not measured"
"""Source of the plan where nothing was measured."""

MEASURED = ("ms_per_window", "fp32_ms_per_window", "speed_up", "agreement")
"""Measurements in the record of a choice."""


class PlannedInferer(Inferer):
    """Run a window inferer by the fastest plan whose labels are those of the network in float32.

    Before the first case, one window from its middle is timed under every likely plan, see :mod:`.plan_search`. A plan
    is taken only if the scores of that window, of one of background and of one with much contrast are finite and within
    5 % of those in float32 (root mean square over their standard deviation), and at least ``agreement`` of the voxels
    of each have the same label. The choice is kept on disk for this machine, network, window and versions. For other
    weights of the same network, and for the first volume of several windows, the kept plan is checked again; if it
    fails, or others failed when it was chosen, everything is measured again.

    On a CPU, the network in int8 is a candidate too, if ``python -m bundle quantize`` has written it next to the
    weights, see :mod:`.int8_network`. It is checked on each of the first four images, and on a mirrored window where an
    image has one window only; if one of these checks fails, the plans are measured again.

    The network itself is never changed or copied: it gets windows in the memory format of the plan, under autocast.
    The ``sw_batch_size`` of the wrapped inferer is that of the plan while it runs.

    Args:
        inferer: inferer with ``roi_size`` and ``sw_batch_size``, such as :class:`bundle.inference.SlabInferer` or
            MONAI's ``SlidingWindowInferer``; further networks that it holds as ``networks`` run by the plan too. One
            that prepares windows has a method ``example``, which returns some for its inputs; the first one is timed.
        plan: ``"auto"`` measures; ``"fp32"`` does nothing but call ``inferer``; ``"bf16"`` or ``"fp16"`` takes that
            precision by autocast, channels last; ``"int8"`` the network in int8; a dictionary gives the options of
            :class:`bundle.inference.plan_run.Plan`. Only ``"auto"`` checks anything.
        checkpoint: file of the weights, next to which the network in int8 may lie; None for none.
        cache_dir: folder for the choice; None for ``$XDG_CACHE_HOME/keyslice`` or ``~/.cache/keyslice``, ``""`` to
            keep nothing.
        agreement: smallest share of the voxels of every window that must have the label of float32, in [0, 1].
        time_limit: seconds of measuring after which no further plan is tried. If a plan of one window per batch is then
            untried, or a busy machine is faster with fewer threads, the choice holds for this process alone.
        compile: also try ``torch.compile`` on the best plan; takes a minute on a CPU, in every process.
        reuse_memory: let the allocator keep up to 256 MiB between windows, for the whole process, see
            :func:`bundle.inference.plan_run.reuse_memory`.
        stopwatch: what times a run, ``(plan, run) -> (seconds, scores)``; None for that of the device.

    Attributes:
        chosen: the plan and what was measured of it, as plain values: ``plan``, ``source`` (``"measured"``,
            ``"kept"``, ``"forced"`` or ``"off"``), and where it was measured ``ms_per_window``,
            ``fp32_ms_per_window``, ``speed_up``, ``agreement``, ``failed``, the plans that failed the check,
            ``several_windows``, whether it was checked on more than one, ``checked``, on how many images, and
            ``complete``, whether it is kept on disk; None before the first case.
        trials: all that was measured for the last choice.

    Raises:
        ValueError: when ``plan``, ``agreement`` or ``time_limit`` is out of range, or ``inferer`` has no windows.

    Examples:
        >>> from bundle.inference import SlabInferer
        >>> inferer = PlannedInferer(SlabInferer([8, 8, 8], output="labels"), plan={"dtype": "fp32", "batch": 2})
        >>> with torch.no_grad():
        ...     labels = inferer(torch.zeros(1, 1, 12, 8, 8), torch.nn.Conv3d(1, 2, 1))
        >>> labels.shape, inferer.description
        (torch.Size([1, 1, 12, 8, 8]), 'fp32, contiguous, 2 windows per batch (forced)')
    """

    def __init__(
        self,
        inferer: Callable[..., Any],
        *,
        plan: str | Mapping[str, Any] = "auto",
        checkpoint: str | Path | None = None,
        cache_dir: str | Path | None = None,
        agreement: float = 0.999,
        time_limit: float = 6.0,
        compile: bool = False,  # noqa: A002 - the name of PyTorch
        reuse_memory: bool = True,
        stopwatch: Stopwatch | None = None,
    ) -> None:
        super().__init__()
        if not hasattr(inferer, "roi_size") or not hasattr(inferer, "sw_batch_size"):
            raise ValueError(f"inferer must have roi_size and sw_batch_size, got {type(inferer).__name__}.")
        if not 0 <= agreement <= 1:
            raise ValueError(f"agreement must lie in [0, 1], got {agreement}.")
        if time_limit < 0:
            raise ValueError(f"time_limit must not be negative, got {time_limit}.")
        self.inferer: Any = inferer
        self.plan = plan
        self.forced = _forced(plan, inferer.sw_batch_size)
        self.int8 = Int8Candidate(checkpoint)
        self.cache = PlanCache(_folder(cache_dir))
        self.agreement, self.time_limit, self.compile = agreement, time_limit, compile
        self.reuse_memory, self.stopwatch = reuse_memory, stopwatch
        self.chosen: dict[str, Any] | None = None
        self.trials: list[Trial] = []
        self._key: Any = None
        self._windows = 0
        self._compiled: dict[int, tuple[Network, Network]] = {}

    def __call__(self, inputs: torch.Tensor, network: Network | Iterable[Network], *args: Any, **kwargs: Any) -> Any:
        """Return what the wrapped inferer returns for ``inputs`` ``(B, C, ...)``."""
        if self.plan == "fp32":
            self.chosen = self.chosen or {"plan": asdict(Plan(batch=self.inferer.sw_batch_size)), "source": "off"}
            return self.inferer(inputs, network, *args, **kwargs)
        if self.reuse_memory:
            reuse_memory()
        members = [network] if callable(network) else list(network)
        networks = [*members, *getattr(self.inferer, "networks", ())]
        device = _device(networks, inputs)
        plan = self._plan(inputs, networks, device, args, kwargs)
        run = [planned(plan, self._prepared(plan, member)) for member in networks]
        with self._set(plan, run[len(members) :]), carried_out(plan, device):
            chosen = run[0] if callable(network) else run[: len(members)]
            return self.inferer(inputs, chosen, *args, **kwargs)

    @property
    def description(self) -> str | None:
        """The plan of the last case in words, for its record; None before the first case."""
        return None if self.chosen is None else f"{Plan.of(self.chosen['plan'])} ({self.chosen['source']})"

    def _plan(
        self, inputs: torch.Tensor, networks: list[Network], device: torch.device, args: Any, kwargs: Any
    ) -> Plan:
        """Return the plan for these networks: the forced one, that of the last case, the kept one, or a new one."""
        if self.forced is not None:
            if self.forced.dtype == "int8" and len(networks) > 1:
                raise BundleError(f"plan int8 runs one network, and there are {len(networks)}; use plan auto or fp32.")
            if self.chosen is None:
                self.chosen = {"plan": asdict(self.forced), "source": "forced"}
                logger.info("plan: %s (forced)", self.forced)
            return self.forced
        example = getattr(self.inferer, "example", None)
        roi = self.inferer.roi_size if example else fall_back_tuple(self.inferer.roi_size, inputs.shape[2:])
        described = describe_networks(networks)
        shape = [inputs.shape[1], *roi]
        current = (described or networks, shape, str(device))
        several = not example and any(size > length for size, length in zip(inputs.shape[2:], roi, strict=True))
        few = not example and self._are_few(inputs, roi)
        unmeasured = self.chosen is not None and self.chosen["source"] == FEW_SOURCE and not few
        unmeasured = unmeasured or (self.chosen is not None and is_unchecked(self.chosen))
        if self.chosen is None or unmeasured or current != self._key or several > self.chosen["several_windows"]:
            skip_constant = getattr(self.inferer, "skip_constant", False)
            windows = example(inputs) if example else sample_windows(inputs, roi, skip_constant=skip_constant)
            with_int8 = not args and not kwargs and self.int8.fits(networks, shape, device)
            search = self._search(windows.to(device), networks, device, args, kwargs, with_int8=with_int8)
            self.trials = search.trials
            self.chosen, self._key = self._choose(search, described, shape, device, few=few), current
            logger.info("plan: %s", _line(self.chosen))
        return Plan.of(self.chosen["plan"])

    def _search(
        self,
        windows: torch.Tensor,
        networks: list[Network],
        device: torch.device,
        args: Any,
        kwargs: Any,
        *,
        with_int8: bool,
    ) -> Search:
        def scores(plan: Plan, batch: torch.Tensor) -> torch.Tensor:
            with torch.no_grad():
                outputs = [planned(plan, self._prepared(plan, member))(batch, *args, **kwargs) for member in networks]
            return torch.stack([_first(output).float() for output in outputs]).mean(0)

        def run(plan: Plan) -> torch.Tensor:
            return scores(plan, windows[:1].expand(plan.batch, *windows.shape[1:]).contiguous())

        def check(plan: Plan) -> torch.Tensor:
            return torch.cat([scores(plan, batch) for batch in checked.split(plan.batch)])

        watch = self.stopwatch or (cuda_time if device.type == "cuda" else cpu_time)
        several = len(windows) > 1
        checked = torch.cat([windows, windows.flip(2)]) if with_int8 and not several else windows
        options: dict[str, Any] = {"agreement": self.agreement, "time_limit": self.time_limit, "with_int8": with_int8}
        options["check"] = check if len(checked) > 1 else None
        options["prepare"] = lambda plan: [self._prepared(plan, member) for member in networks]
        return Search(run, watch, device=device, several=several, **options)

    def _are_few(self, inputs: torch.Tensor, roi: Sequence[int]) -> bool:
        """Return whether the windows so far are too few and too large for measuring to pay."""
        step = 1 - float(getattr(self.inferer, "overlap", 0))
        sides = zip(inputs.shape[2:], roi, strict=True)
        self._windows += math.prod(math.ceil(max(size - part, 0) / max(part * step, 1)) + 1 for size, part in sides)
        return self._windows < FEW_WINDOWS and math.prod(roi) > LARGE_WINDOW

    def _choose(
        self,
        search: Search,
        described: dict[str, str] | None,
        shape: list[int],
        device: torch.device,
        *,
        few: bool = False,
    ) -> dict[str, Any]:
        if described is None:
            return self._measured(search, device, None)
        key = {
            **describe_machine(device),
            "network": described["structure"],
            "window": shape,
            "agreement": self.agreement,
            "compile": self.compile,
            **(self.int8.key() if search.with_int8 else {}),
        }
        earlier, weights = self.cache.read(key), described["weights"]
        is_final = few or self.cache.holds(key)
        chosen = self._kept(search, earlier, weights, device, is_final=is_final)
        if chosen is None and few:
            return _unmeasured(device, weights)
        if chosen is None:
            chosen = self._measured(search, device, weights, earlier)
        if search.trials and search.trials[0].passed:
            self.cache.write(key, chosen, lasting=search.lasting, final=chosen["complete"])
        return chosen

    def _kept(
        self, search: Search, kept: Any, weights: str, device: torch.device, *, is_final: bool
    ) -> dict[str, Any] | None:
        """Return a kept choice if it was made for these weights and checked as now, or passes the check.

        One of an earlier process that had no time for every plan is measured further, unless ``is_final``.
        """
        try:
            plan = Plan.of(kept["plan"])
            failed, complete = list(kept["failed"]), bool(kept["complete"])
            if not complete and not is_final:
                return None
            is_same = kept["weights"] == weights
            is_checked = is_same and kept["several_windows"] >= search.several
            if is_checked and not is_unchecked(kept):
                return {**kept, **{name: float(kept[name]) for name in MEASURED}, "source": "kept"}
        except (KeyError, TypeError, ValueError):
            return None
        if failed and not is_checked:
            return None
        search.measure(Plan(threads=_threads(device)))
        trial = search.measure(plan)
        trial = search.confirm(trial) if trial.passed else trial
        search.complete, search.lasting = complete, bool(kept.get("lasting", True))
        search.tried = list(kept.get("tried", ()))
        if not trial.passed:
            logger.info("plan: %s failed the check (%.3f%% of the labels the same)", plan, 100 * trial.agreement)
            return None
        count = int(kept.get("checked", 0)) if is_same else 0
        return {**_record(search, trial, "kept", weights), "failed": failed, "checked": count + 1}

    def _measured(
        self, search: Search, device: torch.device, weights: str | None, earlier: Any = None
    ) -> dict[str, Any]:
        search.trials.clear()
        known, tried, failed = _unfinished(earlier)
        choice, _ = search.find(threads=_threads(device), with_compile=self.compile, known=known, tried=tried)
        record = _record(search, choice, "measured", weights)
        return {**record, "failed": sorted({*failed, *record["failed"]})}

    def _prepared(self, plan: Plan, network: Network) -> Network:
        if plan.dtype == "int8":
            return self.int8.network(plan.threads)
        if not plan.compile:
            return network
        if id(network) not in self._compiled:
            self._compiled[id(network)] = (network, torch.compile(network))
        return self._compiled[id(network)][1]

    @contextmanager
    def _set(self, plan: Plan, networks: list[Network]) -> Iterator[None]:
        """Give the wrapped inferer the batch of the plan and its own networks in planned form, for a while."""
        mine = {"sw_batch_size": plan.batch} | ({"networks": networks} if networks else {})
        before = {name: getattr(self.inferer, name) for name in mine}
        try:
            for name, value in mine.items():
                setattr(self.inferer, name, value)
            yield
        finally:
            for name, value in before.items():
                setattr(self.inferer, name, value)


def _forced(plan: str | Mapping[str, Any], batch: int) -> Plan | None:
    if isinstance(plan, Mapping):
        return Plan.of({"batch": batch, **plan})
    if plan == "auto":
        return None
    if plan not in get_args(Dtype):
        known = ", ".join(get_args(Dtype))
        raise ValueError(f"plan must be auto, {known}, or a dictionary of options, got {plan!r}.")
    return Plan(cast(Dtype, plan), "channels_last" if plan in ("bf16", "fp16") else "contiguous", batch=batch)


def _folder(cache_dir: str | Path | None) -> Path | None:
    if cache_dir is None:
        return default_folder()
    return Path(cache_dir) if str(cache_dir) else None


def _device(networks: list[Network], inputs: torch.Tensor) -> torch.device:
    for network in networks:
        if isinstance(network, torch.nn.Module):
            return next((parameter.device for parameter in network.parameters()), inputs.device)
    return inputs.device


def _threads(device: torch.device) -> int | None:
    return torch.get_num_threads() if device.type == "cpu" else None


def _first(outputs: Any) -> torch.Tensor:
    """Return the first tensor among the outputs of a network."""
    while not isinstance(outputs, torch.Tensor):
        outputs = next(iter(outputs.values())) if isinstance(outputs, Mapping) else outputs[0]
    return outputs


def _record(search: Search, choice: Trial, source: str, weights: str | None) -> dict[str, Any]:
    baseline = search.trials[0]
    return {
        "plan": asdict(choice.plan),
        "source": source,
        "ms_per_window": round(1000 * choice.seconds, 3),
        "fp32_ms_per_window": round(1000 * baseline.seconds, 3),
        "speed_up": round(baseline.seconds / max(choice.seconds, 1e-9), 2),
        "agreement": choice.agreement,
        "failed": [str(trial.plan) for trial in search.trials if not trial.passed],
        "complete": search.complete,
        "lasting": search.lasting,
        "tried": search.tried,
        "several_windows": search.several,
        "checked": 1,
        "weights": weights,
    }


def _unfinished(earlier: Any) -> tuple[list[Plan], list[str], list[str]]:
    """Return of a choice for which the time was too short its plan, and the names of the tried and the failed plans."""
    try:
        found = [Plan.of(earlier["plan"])], list(earlier["tried"]), list(earlier["failed"])
        return ([], [], []) if earlier["complete"] else found
    except (KeyError, TypeError, ValueError):
        return [], [], []


def _unmeasured(device: torch.device, weights: str | None) -> dict[str, Any]:
    """Return the choice for a few large windows: float32, window by window."""
    plan = Plan(threads=_threads(device))
    measured = {**dict.fromkeys(MEASURED, 0.0), "speed_up": 1.0, "agreement": 1.0}
    state = {"failed": [], "complete": False, "lasting": False, "tried": [], "several_windows": True, "checked": 0}
    return {"plan": asdict(plan), "source": FEW_SOURCE, **measured, **state, "weights": weights}


def _line(chosen: dict[str, Any]) -> str:
    return (
        f"{Plan.of(chosen['plan'])}: {chosen['ms_per_window']:.4g} ms per window, {chosen['speed_up']:.3g} times as "
        f"fast as float32 one by one, {chosen['agreement']:.3%} of the labels the same ({chosen['source']})"
    )
