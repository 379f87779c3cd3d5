"""Running the configs of disc labeling at a size for tests, on small phantoms of spines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from helpers.options import known_options
from monai.bundle import create_workflow

from bundle import ROOT
from bundle.phantoms.spine.spine_phantom import write_spine_phantoms

SMALL = {"network_def#width": 8, "roi_size": [64, 64], "device": "cpu"}
"""Overrides under which a workflow takes seconds."""


def write_spines(folder: Path, count: int, **options: Any) -> Path:
    """Write phantoms of lumbar spines, of 7 coarse sagittal slices, as a dataset; return the folder."""
    coarse = {"field_of_view": "lumbar", "shape": (7, 64, 96), "spacing": (6.0, 2.5, 2.5)}
    write_spine_phantoms(folder, count, **{**coarse, **options})
    return folder


def make_disc_workflow(name: str, **overrides: Any) -> Any:
    """Create a workflow of disc labeling at test size."""
    file = str(Path(ROOT, "configs", "disc_labeling", f"{name}.json"))
    return create_workflow(
        config_file=file,
        workflow_type="train" if name == "train" else "infer",
        logging_file=False,
        **{**known_options(file, SMALL), **overrides},
    )


def run_disc_workflow(name: str, **overrides: Any) -> Any:
    """Run a workflow of disc labeling at test size; raises SystemExit when cases were skipped."""
    workflow = make_disc_workflow(name, **overrides)
    workflow.run()
    workflow.finalize()
    return workflow
