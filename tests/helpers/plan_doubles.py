"""A stopwatch and networks whose behavior under a plan is known."""

from __future__ import annotations

from collections.abc import Callable

import torch

from bundle.inference.plan_run import Plan


class Watch:
    """A stopwatch that returns times from a table, in seconds per window, and counts the runs."""

    def __init__(self, table: dict[tuple[str, str], float], scale: Callable[[Plan], float] = lambda plan: 1.0) -> None:
        self.table, self.scale, self.plans = table, scale, list[Plan]()

    def __call__(self, plan: Plan, run: Callable[[], torch.Tensor]) -> tuple[float, torch.Tensor]:
        self.plans.append(plan)
        seconds = self.table.get((plan.dtype, plan.memory_format), 0.9)
        return seconds * plan.batch * self.scale(plan), run()


class Brittle(torch.nn.Module):
    """Two classes that half precision separates where float32 does not: its labels differ under autocast."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv3d(1, 1, 1, bias=False)
        torch.nn.init.ones_(self.conv.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv(x)
        fine = y.float() - 1000 * (y.dtype == torch.bfloat16)
        return torch.cat([fine, torch.zeros_like(fine)], dim=1)


class Recorder(torch.nn.Module):
    """Passes windows on as two classes and keeps what it saw of them."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))
        self.seen: list[tuple[int, bool, bool, int]] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inner = x.stride(1) == 1 and x.shape[1] == 1 and x.stride(0) != x.stride(1)
        self.seen.append((len(x), inner, torch.is_autocast_enabled("cpu"), torch.get_num_threads()))
        return torch.cat([x, -x], dim=1) * self.weight
