"""Loading of the probabilities of classes that any tool has written to a table, such as a submission to ISIC."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from monai.transforms import Transform

from bundle.data.pairing import IMAGE_ENDINGS
from bundle.data.patient_tables import IDS
from bundle.io.input_checks import BadInputError

NAMES = (*IDS, "case", "name", "isic_id")
"""Columns that may name the image."""


class LoadClassScores(Transform):
    """Load ``"pred"``, float32 ``(C,)``, the probabilities of an image, from the table under ``"prediction"``.

    The table is a CSV file with a column ``image_id``, ``image``, ``isic_id``, ``case`` or ``name`` and a column per
    class, with probabilities from 0 to 1. Images are named without their ending.

    Args:
        class_names: names of the classes, in the order of ``"pred"``.
    """

    def __init__(self, class_names: Sequence[str]) -> None:
        self.class_names = tuple(class_names)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Look up the image.

        Raises:
            BadInputError: when the table cannot be read, or lacks the image or a class.
        """
        table, case = str(data["prediction"]), str(data["case"])
        rows = _read_rows(table, self.class_names)
        scores = rows.get(case, rows.get(Path(str(data["image"])).stem))
        if scores is None:
            raise BadInputError(table, f"has no row of the image {case}", "add its probabilities")
        return {**data, "pred": np.array(scores, dtype=np.float32)}


@lru_cache(maxsize=2)
def _read_rows(table: str, class_names: tuple[str, ...]) -> dict[str, list[float]]:
    try:
        with open(table, newline="", encoding="utf-8-sig") as stream:
            rows = list(csv.DictReader(stream))
        columns = list(rows[0]) if rows else []
        absent = [name for name in class_names if name not in columns]
        key = next((name for name in NAMES if name in columns), None)
        if absent or key is None:
            raise BadInputError(
                table, f"has the columns {', '.join(columns)}, not {absent[0] if absent else 'image_id'}", "rename them"
            )
        names = [_without_ending(row[key]) for row in rows]
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            raise BadInputError(table, f"names the image {twice[0]} more than once", "keep one of its rows")
        scores = ([_probability(row[name]) for name in class_names] for row in rows)
        return dict(zip(names, scores, strict=True))
    except (OSError, UnicodeDecodeError, TypeError, csv.Error) as error:
        raise BadInputError(table, f"cannot be read as a table ({error})", "pass a CSV file") from error
    except ValueError as error:
        if isinstance(error, BadInputError):
            raise
        raise BadInputError(table, f"holds a value that is no probability ({error})", "scale them to 0 to 1") from error


def _without_ending(name: str) -> str:
    """Return the name of an image without the ending of an image file; other points belong to the name."""
    path = Path(name)
    return path.stem if path.suffix.lower() in IMAGE_ENDINGS else path.name


def _probability(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise ValueError(text)
    return value
