"""Summary and tables of a folder of results, whoever computed them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from bundle.results.class_rows import PREDICTIONS_TABLE
from bundle.results.image_rows import IMAGES, OBJECTS
from bundle.results.result_folder import SUMMARY, Counts, write_summary
from bundle.results.result_tables import ResultTable
from bundle.results.volume_rows import VOLUMES

logger = logging.getLogger(__name__)

TABLES = (VOLUMES, IMAGES, OBJECTS, PREDICTIONS_TABLE)
"""Tables of all tasks; those that are not of the task of the results are not written."""


def summarize(folder: str | Path, *, tables: Sequence[ResultTable] = TABLES) -> Counts:
    """Write ``summary.json`` and the tables of a folder from the JSONs of its cases.

    The same JSONs give the same bytes, whatever the number of processes that wrote them, and in whatever order.

    Args:
        folder: ``output_dir`` of an inference or a cohort, also of one that is running.
        tables: tables to write.

    Returns:
        The numbers of completed and failed cases.

    Raises:
        FileError: if the folder does not exist.
    """
    counts = write_summary(Path(folder), tables=tables)
    path = Path(folder) / SUMMARY
    logger.info("%d cases completed, %d failed; summary in %s", counts.completed, counts.failed, path)
    return counts
