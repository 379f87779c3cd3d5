"""From the values in a label map to the classes of a network, by a table of structures."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import torch
from monai.data import MetaTensor

from .input_checks import LabelValuesError
from .label_rounding import describe_values
from .label_tables import HIGHEST, LabelValues, others_are_background, value_map

NO_FRACTIONS = "take the label from before it was resampled, or resample it with nearest neighbor"
"""What to do about a label map with fractions."""


class LabelMap:
    """Turn label maps to classes; many values may make one class.

    MONAI's ``MapLabelValue`` leaves values that the table does not name as they are; here they are an error or, where
    the table says so, background.

    Args:
        table: values, or ranges such as ``"100-207"``, by the name of the structure, see
            :func:`bundle.io.label_tables.expand`.
        classes: class by the name of the structure; None to count them from 1 in the order of the table.

    Raises:
        LabelTableError: when the table makes no sense, or names other structures than ``classes``.
    """

    def __init__(self, table: LabelValues, classes: Mapping[str, int] | None = None) -> None:
        self.table = dict(table)
        self.classes = value_map(table, classes)
        self.strict = not others_are_background(table)

    def __call__(self, file: str | Path, label: MetaTensor) -> MetaTensor:
        """Return a label map ``(1, D, H, W)`` with classes in the place of the values of the file.

        Ignored voxels are :data:`bundle.utils.label_names.IGNORED`.

        Args:
            file: where the label map comes from.
            label: its finite values.

        Raises:
            LabelValuesError: when a value belongs to no structure.
        """
        values = label.as_tensor()
        whole = values.round()
        outside = (values != whole) | (whole < 0) | (whole > HIGHEST)
        if outside.any():
            raise self._foreign(file, values[outside])
        lookup = torch.full((HIGHEST + 1,), torch.nan)
        lookup[list(self.classes)] = torch.tensor(list(self.classes.values()), dtype=torch.float32)
        classes = lookup[whole.int()]
        foreign = classes.isnan()
        if self.strict and foreign.any():
            raise self._foreign(file, values[foreign])
        return MetaTensor(classes.nan_to_num_(nan=0.0), meta=label.meta)

    def _foreign(self, file: str | Path, values: torch.Tensor) -> LabelValuesError:
        shown, has_fractions = describe_values(values)
        if has_fractions:
            return LabelValuesError(file, f"holds the values {shown}, and fractions are no labels", NO_FRACTIONS)
        return LabelValuesError(
            file,
            f"holds the values {shown}, which label_values give to no structure",
            'add them to one, or let "background" be "others" there',
        )


def check_label(
    file: str | Path, label: torch.Tensor, classes: Collection[int], *, ignored: Collection[int] = ()
) -> None:
    """Check that a loaded label map holds no value but those of ``classes`` and of ignored voxels, ``ignored``.

    Raises:
        LabelValuesError: with the values that are none.
    """
    foreign = sorted(set(torch.unique(label).tolist()) - {float(value) for value in (*classes, *ignored)})
    if foreign:
        shown, has_fractions = describe_values(label.new_tensor(foreign))
        if has_fractions:
            raise LabelValuesError(file, f"holds the values {shown}, and fractions are no labels", NO_FRACTIONS)
        raise LabelValuesError(
            file,
            f"holds the values {shown}, which are none of the classes {sorted(classes)}",
            "map them to the classes, or set label_names to the classes of this dataset",
        )
