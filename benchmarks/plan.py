"""What the machine's plan gains on the main network, and what it changes.

Prints the time per window of every plan tried, the plan chosen, its speed-up over float32 window by window (with the
allocator as it is, and with memory reused, see ``bundle.inference.plan_run.reuse_memory``), the share of the peak it
reaches (the speed of one large 3D convolution in the same precision, in the same run), and the labels it changes on the
test cases of a split. The network in int8 of ``--checkpoint`` is a plan too, if ``python -m bundle quantize`` has
written it and OpenVINO is installed. One thread: CPU time of the thread, plans in alternating order, the minimum of
several passes; several threads: the time that passes.

    python benchmarks/plan.py --dataset_dir ../shared/data/volumes/hippocampus
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser
from torch.utils.flop_counter import FlopCounterMode

from bundle import ROOT
from bundle.data import select_cases
from bundle.inference import SlabInferer
from bundle.inference.plan_int8 import Int8Candidate
from bundle.inference.plan_run import DTYPES, Dtype, Plan, carried_out, planned, reuse_memory
from bundle.inference.plan_search import Trial, compare, smallest

BASELINE = "fp32, window by window"

Networks = Callable[[Plan], Callable[..., Any]]
"""Returns the network of a plan."""


def seconds_of(run: Callable[[], Any], threads: int) -> float:
    """Return the seconds of one run."""
    clock = time.thread_time if threads == 1 else time.perf_counter
    start = clock()
    run()
    return clock() - start


def time_plans(plans: dict[str, Plan], networks: Networks, window: torch.Tensor, repeats: int) -> dict[str, float]:
    """Return the minimum seconds per window of every plan, after one uncounted pass."""
    least = dict.fromkeys(plans, float("inf"))
    for repeat in range(repeats):
        for name in list(plans) if repeat % 2 else reversed(plans):
            plan = plans[name]
            windows, run = window.repeat(plan.batch, 1, 1, 1, 1), planned(plan, networks(plan))
            with torch.no_grad(), carried_out(plan, window.device):
                run(windows)
                seconds = seconds_of(partial(run, windows), plan.threads or 1)
            least[name] = min(least[name], seconds / plan.batch)
    return least


def candidates(threads: int, dtypes: list[str], *, with_int8: bool) -> dict[str, Plan]:
    """Return every combination of precision, memory format and batch, the direct convolution in float32, and int8."""
    plans = {}
    tried: list[Dtype] = ["fp32", "bf16"] if "bf16" in dtypes else ["fp32"]
    for dtype in tried:
        for memory_format in ("contiguous", "channels_last"):
            for batch in (1, 2, 4):
                for direct in (False, True)[: 2 if dtype == "fp32" else 1]:
                    plan = Plan(dtype, memory_format, batch=batch, threads=threads, direct=direct)
                    plans[str(plan)] = plan
    int8 = Plan("int8", threads=threads)
    return {**plans, str(int8): int8} if with_int8 and "int8" in dtypes else plans


def peak_rate(dtype: str, threads: int, repeats: int) -> float:
    """Return the FLOP a second of the faster of two large convolutions, channels last."""
    fastest = 0.0
    for channels, size in ((64, 48), (128, 32)):
        conv = torch.nn.Conv3d(channels, channels, 3, padding=1).to(DTYPES[dtype])
        x = torch.randn(1, channels, size, size, size, dtype=DTYPES[dtype]).to(memory_format=torch.channels_last_3d)
        with torch.no_grad(), carried_out(Plan(threads=threads), x.device):
            least = min(seconds_of(partial(conv, x), threads) for _ in range(repeats + 1))
        fastest = max(fastest, 2 * 27 * channels**2 * size**3 / least)
    return fastest


def images(config: ConfigParser, dataset_dir: str, datalist: str, count: int) -> list[torch.Tensor]:
    """Return the preprocessed images of the test cases ``(1, C, ...)``."""
    transform = config.get_parsed_content("preprocessing")
    cases = select_cases(dataset_dir, "test", datalist)[:count]
    return [transform({"image": case["image"]})["image"].as_tensor()[None] for case in cases]


def label_agreement(plan: Plan, networks: Networks, volumes: list[torch.Tensor], roi: list[int]) -> tuple[float, float]:
    """Return the share of the voxels with the label of float32, over all volumes and in the worst one."""
    same, voxels, worst = 0, 0, 1.0
    with torch.no_grad():
        for image in volumes:
            expected = SlabInferer(roi, output="labels")(image, networks(Plan()))
            with carried_out(plan, image.device):
                run = planned(plan, networks(plan))
                labels = SlabInferer(roi, output="labels", sw_batch_size=plan.batch)(image, run)
            hits = int((labels == expected).sum())
            same, voxels, worst = same + hits, voxels + labels.numel(), min(worst, hits / labels.numel())
    return same / voxels, worst


def main() -> None:
    """Measure what the command line asks for and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset_dir", help="folder of the cases; without it a window of noise is timed")
    parser.add_argument("--datalist", default=str(Path(ROOT) / "configs/datasets/hippocampus_split.json"))
    parser.add_argument("--cases", type=int, default=28)
    parser.add_argument("--checkpoint", default=str(Path(ROOT) / "models/model.pt"), help="weights (default: shipped)")
    parser.add_argument("--dtypes", nargs="+", default=["bf16", "int8"], help="precisions besides fp32 (default: all)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    config = ConfigParser()
    config.read_config(str(Path(ROOT) / "configs/inference.json"))
    config["checkpoint"], int8 = args.checkpoint, Int8Candidate(args.checkpoint)
    network, roi = config.get_parsed_content("network").eval(), list(config["roi_size"])
    volumes = images(config, args.dataset_dir, args.datalist, args.cases) if args.dataset_dir else []
    window = torch.zeros(1, 1, *roi) if volumes else torch.randn(1, 1, *roi)
    if volumes:
        part = volumes[0][..., : roi[0], : roi[1], : roi[2]]
        window[..., : part.shape[2], : part.shape[3], : part.shape[4]] = part

    def networks(plan: Plan) -> Callable[..., Any]:
        return int8.network(plan.threads) if plan.dtype == "int8" else network

    baseline = Plan(threads=args.threads)
    before = time_plans({BASELINE: baseline}, networks, window, args.repeats)[BASELINE]
    reuse_memory()
    plans = candidates(args.threads, args.dtypes, with_int8=int8.file is not None)
    times = time_plans(plans, networks, window, args.repeats)
    chosen = report(plans, times, before, networks, window)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(window)
    flop = counter.get_total_flops()
    peak = peak_rate("fp32" if chosen.dtype == "int8" else chosen.dtype, args.threads, args.repeats) / 1e9
    speed = flop / times[str(chosen)] / 1e9
    print(f"chosen: {chosen}")
    print(f"{flop / 1e9:.2f} GFLOP a window: {speed:.0f} GFLOP/s, {speed / peak:.0%} of {peak:.0f} GFLOP/s")
    for plan in [replace(baseline, memory_format="channels_last", direct=True), chosen][: 2 if volumes else 0]:
        share, worst = label_agreement(plan, networks, volumes, roi)
        print(f"{plan}: {share:.4%} of the labels of {len(volumes)} cases the same, {worst:.4%} in the worst one")


def report(
    plans: dict[str, Plan], times: dict[str, float], before: float, networks: Networks, window: torch.Tensor
) -> Plan:
    """Print the table of the plans, the fastest first, and return the one that the search would take."""
    trials = []
    with torch.no_grad():
        reference = networks(Plan())(window)
        print(f"{'plan':<66} {'ms':>7} {'gain':>6} {'gain*':>6} {'same labels':>12}")
        print(f"{BASELINE + ', allocator as it is':<66} {1000 * before:>7.1f}")
        base = times[str(next(iter(plans.values())))]
        for name in sorted(times, key=lambda name: times[name]):
            plan = plans[name]
            with carried_out(plan, window.device):
                agreement, deviation = compare(planned(plan, networks(plan))(window), reference)
            trials.append(Trial(plan, times[name], agreement, deviation, agreement >= 0.999))
            gains = f"{before / times[name]:>6.2f} {base / times[name]:>6.2f}"
            print(f"{name:<66} {1000 * times[name]:>7.1f} {gains} {agreement:>12.4%}")
    print("gain: over float32 window by window, allocator as it is; gain*: memory reused in both")
    return smallest([trial for trial in trials if trial.passed]).plan


if __name__ == "__main__":
    main()
