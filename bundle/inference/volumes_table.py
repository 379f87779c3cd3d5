"""Table of the volumes and further numbers of a run: one row per case."""

from __future__ import annotations

from pathlib import Path

from monai.engines import Workflow

from bundle.results.volume_rows import VOLUMES
from bundle.utils.parse_bool import parse_bool

from .summary import RunSummary


class VolumesTable:
    """Write ``<output_dir>/volumes.csv`` at the end of a run: one row per case, skipped ones with their error.

    A row has the name of the case, its file, its identifiers, error, remarks and flags, and the numbers of every
    structure (:mod:`bundle.results.volume_rows`). An interrupted run writes the rows of the cases before it. The table
    of a run that resumes has all cases of the folder, see :class:`bundle.inference.RunSummary`. Without a case with
    volumes there is no table.

    Args:
        output_dir: folder to write to; created if missing.
        summary: summary of the run, attached before this handler; the table contains its results.
        enabled: whether the table is written; text such as ``"true"`` of a command line is understood.

    Raises:
        ValueError: when ``enabled`` is neither true nor false.
    """

    def __init__(self, output_dir: str | Path, *, summary: RunSummary, enabled: bool | int | str = True) -> None:
        self.output_dir, self.summary = Path(str(output_dir)), summary
        self.enabled = parse_bool("volumes_csv", enabled)

    def attach(self, engine: Workflow) -> None:
        """Write the table at the end of a run of ``engine``."""
        if self.enabled:
            self.summary.add_table(VOLUMES, self.output_dir, engine)
