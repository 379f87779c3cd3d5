"""Sets of trainings that resume: what comparison and cross-validation share."""

from functools import partial

from bundle.deprecated_names import deprecated_name

from .config_runner import execute, read_failures, run_training
from .experiment_configs import load_configs, override_configs, resolved, root_cause
from .experiment_folder import open_output
from .experiment_options import ExperimentError, parse_files, parse_overrides
from .fold_datalist import datalist_with_folds

__all__ = [
    "ExperimentError",
    "datalist_with_folds",
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
]

__getattr__ = partial(deprecated_name, "experiments")
