"""Choices of a plan: value, reason and source of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bundle.utils.errors import BundleError

NNUNET = "Isensee et al. 2021, doi:10.1038/s41592-020-01008-z"
RECIPE = "shipped recipe, docs/training.md"
DATA = "dataset"
MEASURED = "measured on this machine"
OPTION = "option of the command"


class PlanError(BundleError):
    """A training that cannot be planned; the message says why and what to do."""


@dataclass(frozen=True)
class Choice:
    """A choice.

    Attributes:
        name: what is chosen.
        value: the value.
        reason: why.
        source: where the rule or the number comes from.
    """

    name: str
    value: Any
    reason: str
    source: str

    def line(self, *, explain: bool = False) -> str:
        """Return one line, with the source if ``explain``."""
        text = f"{self.name:<18} {self.value}: {self.reason}"
        return f"{text} [{self.source}]" if explain else text
