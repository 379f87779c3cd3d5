"""What a training leaves to be watched: a log file with a line per epoch, and its curves as CSV and PNG."""

from __future__ import annotations

import csv
import logging
import math
import resource
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Events
from monai.engines import Evaluator, Workflow
from monai.utils import CommonKeys

from bundle.utils.atomic_write import atomic_write
from bundle.utils.parse_bool import parse_bool

logger = logging.getLogger(__name__)

LOG, TABLE, FIGURE = "training.log", "curves.csv", "curves.png"
FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
DRAW_SECONDS = 60.0
"""Least time between two drawings of the curves."""

FEW = 5
"""Validation cases below which a mean is not to be relied on."""

Row = dict[str, Any]


class _LogFile(logging.FileHandler):
    """The file of a training."""


class TrainingLog:
    """Write ``training.log``, ``curves.csv`` and ``curves.png`` next to the weights.

    A resumed training continues the files: rows of later epochs than the one that it is resumed from are dropped.

    Args:
        save_dir: folder to write to.
        network: network that is trained.
        evaluator: evaluator that validates; its metrics are columns.
        values: settings that the first lines of the log name, by their name.
        structures: names of the structures, whose Dice are columns where the evaluator has a ``MeanDice``.
        regions: the same where regions are trained.
        resume: whether the training may be resumed, and its files continued.
        enabled: False to do nothing, e.g. on all processes but the first.
    """

    def __init__(
        self,
        save_dir: str | Path,
        network: torch.nn.Module,
        *,
        evaluator: Evaluator | None = None,
        values: Mapping[str, Any] | None = None,
        structures: Mapping[str, Any] | None = None,
        regions: Mapping[str, Any] | None = None,
        resume: bool | str = False,
        enabled: bool = True,
    ) -> None:
        self.folder, self.network, self.evaluator = Path(str(save_dir)), network, evaluator
        self.values, self.names = dict(values or {}), list(regions or structures or {})
        self.resume, self.enabled = parse_bool("resume", resume), enabled
        self.rows: list[Row] = []
        self._losses: list[float] = []
        self._rate, self._started, self._drawn = math.nan, 0.0, 0.0
        self._first_epoch = 0
        self._file: _LogFile | None = None

    def attach(self, engine: Workflow) -> None:
        """Follow the run of ``engine``; attach after the handlers that resume and validate."""
        if self.enabled:
            engine.add_event_handler(Events.STARTED, self._start)
            engine.add_event_handler(Events.EPOCH_STARTED, self._note_rate)
            engine.add_event_handler(Events.ITERATION_COMPLETED, self._note_loss)
            engine.add_event_handler(Events.EPOCH_COMPLETED, self._add)
            engine.add_event_handler(Events.COMPLETED, self._finish)

    def close(self) -> None:
        """Close the log file."""
        if self._file is not None:
            logging.getLogger().removeHandler(self._file)
            self._file.close()
            self._file = None

    def _start(self, engine: Workflow) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        continued = self.resume and engine.state.epoch > 0
        self.rows = _read(self.folder / TABLE, engine.state.epoch) if continued else []
        _close_others()
        self._file = _LogFile(self.folder / LOG, mode="a" if continued else "w", encoding="utf-8")
        self._file.setFormatter(logging.Formatter(FORMAT))
        logging.getLogger().addHandler(self._file)
        self._started, self._first_epoch = time.monotonic(), engine.state.epoch
        for name, value in self._head(engine):
            logger.info("%s: %s", name, value)
        count = _count(self.evaluator)
        if 0 < count < FEW:
            logger.warning("validation on %d cases: fewer than %d say little about other cases", count, FEW)

    def _head(self, engine: Workflow) -> list[tuple[str, Any]]:
        parameters = sum(item.numel() for item in self.network.parameters())
        return [
            *self.values.items(),
            ("network", f"{type(self.network).__name__}, {parameters:,} parameters"),
            ("device", engine.state.device),
            ("training", f"{engine.state.max_epochs} epochs of {engine.state.epoch_length} steps"),
        ]

    def _note_rate(self, engine: Workflow) -> None:
        optimizer = getattr(engine, "optimizer", None)
        self._rate = math.nan if optimizer is None else float(optimizer.param_groups[0]["lr"])

    def _note_loss(self, engine: Workflow) -> None:
        output = engine.state.output
        loss = output[0].get(CommonKeys.LOSS) if isinstance(output, list) and output else None
        if loss is not None and math.isfinite(loss):
            self._losses.append(float(loss))

    def _add(self, engine: Workflow) -> None:
        """Add the row of an epoch; metrics are those of a validation of this epoch, else empty."""
        losses, self._losses = self._losses, []
        seconds, metrics = time.monotonic() - self._started, self._metrics(engine.state.epoch)
        row: Row = {
            "epoch": engine.state.epoch,
            "loss": round(sum(losses) / len(losses), 6) if losses else "",
            "rate": self._rate,
            "seconds": round(seconds, 1),
            "memory_gb": round(peak_gb(engine.state.device), 3),
            **metrics,
        }
        self._log_line(engine, row, metrics, seconds)
        self.rows.append(row)
        _write(self.folder / TABLE, self.rows)
        if time.monotonic() - self._drawn > DRAW_SECONDS:
            self._draw()

    def _log_line(self, engine: Workflow, row: Row, metrics: Row, seconds: float) -> None:
        epoch, epochs = engine.state.epoch, engine.state.max_epochs
        values = {"loss": row["loss"], **metrics}
        if self.evaluator is not None and self.evaluator.state.best_metric_epoch > 0:
            values["best"] = float(self.evaluator.state.best_metric)
        parts = [f"{name} {value:.4f}" for name, value in values.items() if value != ""]
        parts += [f"rate {row['rate']:.3g}", f"{row['memory_gb']:.2f} GB", f"{seconds:.0f} s so far"]
        left = seconds / (epoch - self._first_epoch) * (epochs - epoch)
        logger.info("epoch %d/%d: %s, about %.0f s left", epoch, epochs, ", ".join(parts), left)

    def _metrics(self, epoch: int) -> Row:
        evaluator = self.evaluator
        if evaluator is None or evaluator.state.epoch != epoch or not evaluator.state.metrics:
            return {}
        found: Row = {name: round(float(value), 6) for name, value in evaluator.state.metrics.items()}
        for details in getattr(evaluator.state, "metric_details", {}).values():
            if getattr(details, "ndim", 0) == 2 and details.shape[1] == len(self.names):
                means = torch.nanmean(details.float(), dim=0).tolist()
                found |= {f"dice_{name}": round(value, 6) for name, value in zip(self.names, means, strict=True)}
        return found

    def _finish(self, engine: Workflow) -> None:
        self._draw()
        self.close()

    def _draw(self) -> None:
        self._drawn = time.monotonic()
        draw_curves(self.rows, self.folder / FIGURE)


def _close_others() -> None:
    """Close the file of a training in this process that was interrupted."""
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, _LogFile)]:
        root.removeHandler(handler)
        handler.close()


def peak_gb(device: torch.device | str) -> float:
    """Return the peak memory so far: of the GPU, or of the process."""
    if torch.device(device).type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1024**3
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1024**3


def draw_curves(rows: Sequence[Row], path: Path) -> None:
    """Draw loss, rate and metrics over the epochs; nothing where matplotlib is not installed."""
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        return
    figure = Figure(figsize=(9, 3.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    skipped = ("epoch", "seconds", "memory_gb", "rate", "loss")
    for axes, names in ((left, ["loss"]), (right, [name for name in _columns(rows) if name not in skipped])):
        for name in names:
            points = [(int(row["epoch"]), float(row[name])) for row in rows if row.get(name, "") not in ("", None)]
            if points:
                axes.plot(*zip(*points, strict=True), marker=".", label=name)
        axes.set_xlabel("epoch")
        if axes.lines:
            axes.legend(fontsize="small")
    with atomic_write(path) as file:
        figure.savefig(file, format="png", dpi=100)


def _columns(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))


def _read(path: Path, epoch: int) -> list[Row]:
    """Return the rows up to an epoch."""
    if not path.is_file():
        return []
    with open(path, newline="", encoding="utf-8") as stream:
        rows = [{name: value for name, value in row.items() if value != ""} for row in csv.DictReader(stream)]
    return [row for row in rows if int(row["epoch"]) <= epoch]


def _write(path: Path, rows: Sequence[Row]) -> None:
    with atomic_write(path) as file, open(file, "w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, _columns(rows), restval="")
        writer.writeheader()
        writer.writerows(rows)


def _count(evaluator: Evaluator | None) -> int:
    """Return the number of cases of a validation; 0 where it is not known."""
    dataset: Any = getattr(getattr(evaluator, "data_loader", None), "dataset", ())
    return len(dataset)
