"""The runtime and the export have the same names of tasks."""

from __future__ import annotations

from bundle.export.onnx_task import BUILDERS
from bundle.runtime.model_format import CLASSES, DISCS, MASKS, VOLUMES


def test_the_runtime_knows_every_task_that_is_exported() -> None:
    assert {VOLUMES, *MASKS, CLASSES, DISCS} == set(BUILDERS)
