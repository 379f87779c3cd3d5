"""What a config asks for besides the results of single cases: tables, a BIDS derivative, a submission.

In one process, handlers of the config serve these options. On a cluster no handler sees all cases, so the options are
read from the config.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bundle.inference.bids_derivative import write_bids_derivative
from bundle.results.result_folder import Counts, read_results
from bundle.results.result_tables import ResultTable
from bundle.results.volume_rows import VOLUMES
from bundle.utils.errors import BundleError
from bundle.utils.parse_bool import parse_bool

from .summarize import TABLES


class OutputError(BundleError):
    """An option that a cluster cannot serve; the message names it."""


def wanted_tables(parser: Any) -> tuple[ResultTable, ...]:
    """Return the tables of a cohort: not that of volumes if ``volumes_csv`` is false."""
    has_volumes = "volumes_csv" not in parser or parse_bool("volumes_csv", parser.get_parsed_content("volumes_csv"))
    return tuple(table for table in TABLES if has_volumes or table is not VOLUMES)


class ClusterOutputs:
    """Write the BIDS derivative and the submission of a cohort whose cases were computed on a cluster.

    Args:
        parser: parsed config with the options ``bids_dir`` and ``tables``, which are checked here, before the cases.

    Raises:
        OutputError: if ``progress_json`` is set.
    """

    def __init__(self, parser: Any) -> None:
        progress, self.bids_dir, self.tables = (
            parser.get_parsed_content(name) if name in parser else None
            for name in ("progress_json", "bids_dir", "tables")
        )
        if progress:
            raise OutputError("--progress_json follows the cases of one process; leave it out on a cluster.")

    def write(self, folder: Path, counts: Counts) -> None:
        """Write them from the JSONs in the folder of the results."""
        if self.bids_dir is not None and counts.completed:
            write_bids_derivative(folder, self.bids_dir)
        if self.tables is not None:
            self.tables.write_submission([content for _, content in read_results(folder)])
