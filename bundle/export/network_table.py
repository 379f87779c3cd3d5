"""Write the table of the networks in ``docs/networks.md``: size, cost and supported attention."""

from __future__ import annotations

import inspect
import json
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from bundle import ROOT
from bundle.attention.attention_factory import Attention
from bundle.networks.slice_wise import SliceWise

CONFIGS = Path(ROOT, "configs")
PAGE = Path(ROOT, "docs", "networks.md")
BEGIN, END = "<!-- table: python -m bundle networks -->", "<!-- end of the table -->"
VOLUME, IMAGE = (64, 128, 128), (256, 256)
PLAIN = "unet"


@dataclass(frozen=True)
class Row:
    """A network of the table.

    Args:
        name: name of its overlay, or ``unet`` for the network of the configs themselves.
        kind: name of its class.
        size: spatial size of the input of the measurement.
        parameters: number of parameters.
        multiply_adds: multiply-adds of one forward pass.
        relative_time: time of one forward pass divided by that of the plain 3D U-Net.
        attention: supported mechanisms.
        paper: URL of its paper.
    """

    name: str
    kind: str
    size: tuple[int, ...]
    parameters: int
    multiply_adds: int
    relative_time: float
    attention: tuple[str, ...]
    paper: str


def network_overlays() -> dict[str, dict[str, Any]]:
    """Return the configs that name a network, by the name of the file; the plain one first."""
    base = json.loads((CONFIGS / "inference.json").read_text(encoding="utf-8"))
    shared = {key: base[key] for key in ("label_names", "deep_supervision", "network_def")}
    files = sorted((CONFIGS / "networks").glob("*.json"))
    overlays = {file.stem: {**shared, **json.loads(file.read_text(encoding="utf-8"))} for file in files}
    return {PLAIN: shared, **overlays}


def build_network(config: dict[str, Any], attention: Any = None, size: Sequence[int] = VOLUME) -> nn.Module:
    """Build the network of an overlay for inference; for a network on slices, its 2D network."""
    parser = ConfigParser({**config, "attention": attention, "roi_size": list(size)})
    network = parser.get_parsed_content("network_def")
    return (network.network if isinstance(network, SliceWise) else network).eval()


def measure_networks(
    *,
    names: Sequence[str] | None = None,
    volume: Sequence[int] = VOLUME,
    image: Sequence[int] = IMAGE,
    repeats: int = 3,
) -> list[Row]:
    """Count and measure the networks of the overlays without attention, on one channel, batch 1 and one thread.

    Args:
        names: overlays to measure; all by default.
        volume: spatial size of the input of 3D networks.
        image: spatial size of the input of 2D networks.
        repeats: timed runs after one warm-up run, alternating with the plain network; the least CPU time counts.

    Raises:
        ValueError: if a name is not an overlay.
    """
    overlays = network_overlays()
    unknown = sorted(set(names or ()) - overlays.keys())
    if unknown:
        raise ValueError(f"names must be of {', '.join(overlays)}, got {', '.join(unknown)}.")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        plain = build_network(overlays[PLAIN], size=volume), torch.randn(1, 1, *volume)
        return [_row(name, overlays[name], plain, volume, image, repeats) for name in names or overlays]
    finally:
        torch.set_num_threads(threads)


def _row(
    name: str,
    config: dict[str, Any],
    plain: tuple[nn.Module, torch.Tensor],
    volume: Sequence[int],
    image: Sequence[int],
    repeats: int,
) -> Row:
    network = build_network(config, size=volume)
    sliced = config["network_def"]["_target_"].endswith(SliceWise.__name__)
    size = tuple(image if sliced else volume)
    return Row(
        name=name,
        kind=type(network).__name__,
        size=size,
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        multiply_adds=count_multiply_adds(config, size),
        relative_time=_relative_time((network, torch.randn(1, 1, *size)), plain, repeats),
        attention=_mechanisms(config),
        paper=_paper(network),
    )


def count_multiply_adds(config: dict[str, Any], size: Sequence[int]) -> int:
    """Return the multiply-adds of a forward pass of an overlay's network, without running it."""
    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        build_network(config)(torch.empty(1, 1, *size))
    return counter.get_total_flops() // 2


def _relative_time(run: tuple[nn.Module, torch.Tensor], plain: tuple[nn.Module, torch.Tensor], repeats: int) -> float:
    least = [float("inf"), float("inf")]
    for repeat in range(repeats + 1):
        for index, (network, x) in enumerate((run, plain)):
            start = time.process_time()
            with torch.inference_mode():
                network(x)
            if repeat:
                least[index] = min(least[index], time.process_time() - start)
    return least[0] / least[1]


def _mechanisms(config: dict[str, Any]) -> tuple[str, ...]:
    if "attention" not in config["network_def"]:
        return ()
    supported = []
    for name in sorted(known.lower() for known in Attention.names):
        try:
            with torch.device("meta"):
                build_network(config, name)
        except (RuntimeError, ValueError):
            continue
        supported.append(name)
    return tuple(supported)


def _paper(network: nn.Module) -> str:
    found = re.search(r"https?://[\w./-]*[\w/]", inspect.getmodule(type(network)).__doc__ or "")
    return found.group() if found else ""


def format_table(rows: Sequence[Row]) -> str:
    """Return the rows as a table in Markdown."""
    lines = [
        "| overlay | network | input | parameters | multiply-adds | time / plain | attention | paper |",
        "| --- | --- | --- | --: | --: | --: | --- | --- |",
    ]
    for row in rows:
        cells = (
            f"`{row.name}`",
            f"`{row.kind}`",
            " x ".join(map(str, row.size)),
            f"{row.parameters / 1e6:.3f} M",
            f"{row.multiply_adds / 1e9:.1f} G",
            f"{row.relative_time:.2f}",
            _attention_cell(row.attention),
            f"[paper]({row.paper})",
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _attention_cell(supported: Sequence[str]) -> str:
    known = {name.lower() for name in Attention.names}
    missing = sorted(known - set(supported))
    if not supported:
        return "none"
    if len(missing) > len(known) // 2:
        return ", ".join(supported)
    return "all but " + ", ".join(missing) if missing else "all"


def write_network_table(rows: Sequence[Row], page: str | Path = PAGE) -> Path:
    """Write the table of the rows between the two markers of a page.

    Args:
        rows: result of :func:`measure_networks`.
        page: Markdown page with the markers :data:`BEGIN` and :data:`END`.

    Returns:
        The page.

    Raises:
        ValueError: if the page does not contain both markers, in this order.
    """
    path = Path(page)
    head, begin, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"page {path} must contain the lines {BEGIN!r} and {END!r}, in this order.")
    path.write_text(f"{head}{BEGIN}\n\n{format_table(rows)}\n\n{END}{tail}", encoding="utf-8")
    return path
