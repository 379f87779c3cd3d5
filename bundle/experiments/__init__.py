"""What trainings by a plan have in common: options, configs, folds, the folder that holds a plan, and running a config.

An experiment is a set of trainings and evaluations, such as a comparison or a cross-validation, that is checked before
anything is trained and goes on where it was interrupted.
"""

from __future__ import annotations

from .configs import load_configs, override_configs, resolved, root_cause
from .folder import open_output, write_json
from .folds import deal_folds
from .options import ExperimentError, parse_files, parse_overrides
from .running import execute, read_failures, run_training, versions

__all__ = [
    "ExperimentError",
    "deal_folds",
    "execute",
    "load_configs",
    "open_output",
    "override_configs",
    "parse_files",
    "parse_overrides",
    "read_failures",
    "resolved",
    "root_cause",
    "run_training",
    "versions",
    "write_json",
]
