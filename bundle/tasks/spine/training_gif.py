"""The progress of a training of disc labeling as an animation of the same validation cases."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import numpy as np
import torch
from ignite.engine import Events
from monai.data import MetaTensor
from monai.engines import Evaluator, Workflow

from bundle.utils.atomic_write import atomic_write

from .disc_figures import draw_discs, draw_map, draw_slice, panel_width
from .discs.disc_points import Disc, from_array
from .sagittal_slab import SLAB_POSITIONS, slab_affines

logger = logging.getLogger(__name__)

FRAMES = "progress"
"""Folder of the frames in the output folder; the animation has its name."""
HEIGHT = 3.6
"""Height of a panel in inches."""
MARGIN = 0.55
"""Height of the titles in inches."""
HOLD = 5
"""The last frame is shown this many times as long as the others."""


@dataclass(frozen=True)
class _Panel:
    case: str
    image: np.ndarray
    affine: np.ndarray
    heat: np.ndarray
    discs: list[Disc]
    reference: list[Disc]


class TrainingGif:
    """Draw the first validation cases at every validation, and write them as ``progress.gif`` at the end.

    A frame shows the slab nearest to the middle, the maximum of the heat maps over slabs and levels, the predicted
    ``discs`` and, as circles, the reference ``points``. The handler uses the outputs of the validation and runs nothing
    itself, so it has no influence on the training. Frames are files in ``<output_dir>/progress``, so they are kept if a
    run is interrupted; a resumed run adds to them, a new one removes them. Attach it after the handler that resumes.
    Without matplotlib it logs a warning and does nothing.

    Args:
        output_dir: folder to write to; created if missing.
        evaluator: evaluator that validates, in the same order every time.
        cases: number of cases shown; 0 for no animation.
        every: minimum number of epochs between two frames; the last epoch, if validated, always has one.
        seconds: duration of a frame.
    """

    def __init__(
        self, output_dir: str | Path, evaluator: Evaluator, *, cases: int = 4, every: int = 1, seconds: float = 0.4
    ) -> None:
        self.folder = Path(output_dir) / FRAMES
        self.evaluator, self.cases, self.every, self.seconds = evaluator, cases, every, seconds
        self._panels: list[_Panel] = []

    def attach(self, engine: Workflow) -> None:
        """Follow the validations of the trainer ``engine``."""
        if self.cases < 1 or idist.get_rank() > 0:
            return
        if find_spec("matplotlib") is None:
            logger.warning("no animation of the training: it is drawn with matplotlib; pip install 'keyslice[demo]'")
            return
        engine.add_event_handler(Events.STARTED, self._remove_later_frames)
        self.evaluator.add_event_handler(Events.EPOCH_STARTED, lambda _: self._panels.clear())
        self.evaluator.add_event_handler(Events.ITERATION_COMPLETED, self._collect)
        self.evaluator.add_event_handler(Events.EPOCH_COMPLETED, self._draw, engine)
        engine.add_event_handler(Events.COMPLETED, self._finish)

    def _remove_later_frames(self, engine: Workflow) -> None:
        """Remove the frames of epochs after the current one."""
        for epoch, path in frames_in(self.folder).items():
            if epoch > engine.state.epoch:
                path.unlink()

    def _collect(self, evaluator: Evaluator) -> None:
        for batch, output in zip(evaluator.state.batch, evaluator.state.output, strict=True):
            if len(self._panels) < self.cases:
                self._panels.append(_panel({**batch, **output}))

    def _draw(self, evaluator: Evaluator, engine: Workflow) -> None:
        epoch = engine.state.epoch
        last = max(frames_in(self.folder), default=-self.every)
        if not self._panels or (epoch - last < self.every and epoch != engine.state.max_epochs):
            return
        name = evaluator.state.key_metric_name
        metric = f", {name} {float(evaluator.state.metrics[name]):.3f}" if name in evaluator.state.metrics else ""
        self.folder.mkdir(parents=True, exist_ok=True)
        with atomic_write(self.folder / f"epoch_{epoch:05d}.png") as path:
            _save_frame(self._panels, f"epoch {epoch}{metric}", path)

    def _finish(self, _: Workflow) -> None:
        path = self.folder.with_suffix(".gif")
        if write_gif(self.folder, path, seconds=self.seconds):
            logger.info("progress of the training written to %s", path)


def frames_in(folder: Path) -> dict[int, Path]:
    """Return the frames in a folder by epoch, sorted."""
    found = {match: path for path in folder.glob("epoch_*.png") if (match := re.fullmatch(r"epoch_(\d+)", path.stem))}
    return dict(sorted((int(match[1]), path) for match, path in found.items()))


def write_gif(folder: Path, path: Path, *, seconds: float = 0.4) -> int:
    """Write the frames in a folder as an animation with a longer last frame; also for an interrupted run.

    Args:
        folder: folder with frames.
        path: file to write; nothing is written without frames.
        seconds: duration of a frame.

    Returns:
        The number of frames.
    """
    from PIL import Image

    frames = []
    for file in frames_in(folder).values():
        with Image.open(file) as image:
            frames.append(image.convert("RGB"))
    if not frames:
        return 0
    size = max(frame.width for frame in frames), max(frame.height for frame in frames)
    sheets = []
    for frame in frames:
        sheet = Image.new("RGB", size, "white")
        sheet.paste(frame)
        sheets.append(sheet.quantize(128, dither=Image.Dither.NONE))
    durations = [round(1000 * seconds)] * (len(sheets) - 1) + [round(1000 * seconds * HOLD)]
    with atomic_write(path) as partial:
        sheets[0].save(
            partial, format="GIF", save_all=True, append_images=sheets[1:], duration=durations, loop=0, optimize=False
        )
    return len(sheets)


def _panel(item: Mapping[str, Any]) -> _Panel:
    image, heat = item["image"], torch.as_tensor(item["pred"])
    slabs = torch.as_tensor(image).detach().float().cpu().flatten(0, -3)
    index, affine = _nearest_slab(image, len(slabs))
    return _Panel(
        case=str(item.get("case", "")),
        image=np.asarray(slabs[index]),
        affine=affine,
        heat=np.asarray(heat.detach().float().cpu().flatten(0, -3).amax(0)),
        discs=list(item.get("discs", [])),
        reference=from_array(np.asarray(item["points"])) if "points" in item else [],
    )


def _nearest_slab(image: MetaTensor, count: int) -> tuple[int, np.ndarray]:
    """Return the index of the slab nearest to the middle, and its affine."""
    if SLAB_POSITIONS not in image.meta:
        return count // 2, np.asarray(image.affine)
    index = int(np.abs(np.asarray(image.meta[SLAB_POSITIONS])).argmin())
    return index, slab_affines(image)[index]


def _save_frame(panels: list[_Panel], title: str, path: Path) -> None:
    from matplotlib.figure import Figure

    widths = [panel_width(panel.image, panel.affine, height=HEIGHT) for panel in panels]
    total, height = sum(widths), HEIGHT + MARGIN
    figure = Figure(figsize=(total, height), facecolor="white")
    left = 0.0
    for panel, width in zip(panels, widths, strict=True):
        axes = figure.add_axes((left / total, 0, 0.99 * width / total, HEIGHT / height))
        draw_slice(axes, panel.image, panel.affine)
        draw_map(axes, panel.heat, panel.image.shape, high=1.0)
        draw_discs(axes, panel.discs, panel.affine, reference=panel.reference, names=False, size=3.0)
        figure.text(left / total + 0.005, (HEIGHT + 0.05) / height, panel.case, fontsize=8, va="bottom")
        left += width
    figure.text(0.005, 1 - 0.05 / height, title, fontsize=10, va="top")
    figure.savefig(path, dpi=100, format="png")
