"""What is known of the result of a case besides its label map."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

LabelNames = dict[str, dict[str, int]]
"""Values in a label map by region and structure; a label map without regions has one without a name."""


@dataclass
class CaseFindings:
    """What an inferer knows of the result of the last image.

    Attributes:
        label_names: values in the label map by region and structure.
        results: entries of the JSON of the case.
        remarks: remarks on the result.
        flags: why the result is suspicious, in words.
        numbers: confidence of every structure by its full name, see
            :class:`bundle.inference.confidence_numbers.ConfidenceNumbers`.
    """

    label_names: LabelNames = field(default_factory=dict)
    results: dict[str, Any] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    flags: list[str] = field(default_factory=list)
    numbers: dict[str, dict[str, float]] = field(default_factory=dict)


def flat_names(label_names: LabelNames) -> dict[str, int]:
    """Return the values by full names.

    Examples:
        >>> flat_names({"left": {"anterior": 11}, "right": {"anterior": 21}})
        {'left_anterior': 11, 'right_anterior': 21}
    """
    return {
        f"{region}_{name}" if region else name: value
        for region, structures in label_names.items()
        for name, value in structures.items()
    }
