"""Refusal of misspelt options of a workflow."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence

from monai.bundle import ConfigParser

from bundle.utils.errors import BundleError

TRACKING = frozenset({"experiment_name", "run_name", "save_execute_config", "tracking_uri"})
"""Ids that ``--tracking`` of MONAI reads, which no config has."""


class OptionNameError(BundleError):
    """An option that no config of the run knows; the message names the nearest id."""


def check_option_names(options: Iterable[str], config_files: Sequence[str]) -> None:
    """Check that the options of a workflow override ids of its configs.

    ``monai.bundle`` adds an id that it does not know to the config, where nothing reads it. An id that is added on
    purpose, to be referred to by other options, begins with an underscore.

    Args:
        options: names of options, with their parts: ``network_def#channels``.
        config_files: the config and its overlays.

    Raises:
        OptionNameError: if the first part of a name is no id of a config and does not begin with an underscore.
    """
    known = {_first_part(name) for file in config_files for name in ConfigParser.load_config_file(file)}
    for option in options:
        name = _first_part(option)
        if name in known | TRACKING or name.startswith("_"):
            continue
        nearest = difflib.get_close_matches(name, sorted(known), n=1)
        hint = f"did you mean --{nearest[0]}?" if nearest else f"its ids are those of {', '.join(config_files)}."
        raise OptionNameError(
            f"--{name} is no option of this workflow: {hint} An id that is added on purpose begins with an underscore, "
            f"such as --_{name}."
        )


def _first_part(name: str) -> str:
    return re.split("#|::", name.lstrip("+"))[0]
