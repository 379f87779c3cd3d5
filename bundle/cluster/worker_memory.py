"""Memory of the workers of a Dask cluster."""

from __future__ import annotations

import logging
import os

logger = logging.getLogger(__name__)

TRIM_THRESHOLD = "MALLOC_TRIM_THRESHOLD_"

DASK_THRESHOLD = "65536"
"""What Dask's nanny sets for a worker where nothing else is configured (``distributed.nanny.pre-spawn-environ``)."""


def release_trim_threshold() -> bool:
    """Remove the threshold that Dask's nanny has set from the environment of this process.

    With it, glibc gives memory back at once, and every window of an inference pays the page faults anew. The allocator
    takes the threshold at its start; :func:`bundle.inference.plan_run.reuse_memory` replaces it, but respects what the
    environment has. A value that differs from Dask's is one of the user, and stays.

    Returns:
        Whether it was removed.
    """
    value = os.environ.get(TRIM_THRESHOLD)
    if value == DASK_THRESHOLD:
        del os.environ[TRIM_THRESHOLD]
        logger.info(
            "%s=%s of Dask's nanny is not used, so that memory is reused between windows", TRIM_THRESHOLD, value
        )
        return True
    if value is not None:
        logger.warning("%s=%s: memory is not reused between windows, which takes more time", TRIM_THRESHOLD, value)
    return False
