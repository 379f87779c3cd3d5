"""Predictions of any tool that an evaluation scores instead of those of a network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bundle.data.datalist_file import Case, DatalistError
from bundle.data.prediction_files import with_predictions
from bundle.io.input_checks import UnreadableFileError
from bundle.utils.path_options import check_path_options

PREDICTION = "prediction"
"""Key of the file of a prediction in a case."""


class GivenPredictions:
    """Find and load the predictions of the cases of an evaluation, in which no network runs.

    Args:
        predictions: folder with a label map, a mask or a file of points per case, see
            :func:`bundle.data.prediction_files.with_predictions`; with ``table`` a CSV file of all images, or a folder
            with one. None for those of the network.
        transform: loads the reference and the prediction of a case, whose path is ``"prediction"``.
        table: whether the predictions are a table.
    """

    def __init__(self, predictions: str | Path | None, transform: Callable[..., Any], *, table: bool = False) -> None:
        check_path_options(predictions=predictions)
        self.predictions, self.transform, self.table = predictions, transform, table

    @property
    def enabled(self) -> bool:
        """Whether there are predictions to score."""
        return self.predictions is not None

    def add_to(self, cases: Sequence[Case]) -> list[Case]:
        """Return the cases with the paths of their predictions.

        Raises:
            DatalistError: when there is no prediction of any case, several for one, or no table.
        """
        if self.table and self.predictions is not None:
            table = _find_table(Path(str(self.predictions)))
            return [{**case, PREDICTION: str(table)} for case in cases]
        return with_predictions(cases, self.predictions)

    def load(self, case: Case) -> dict[str, Any]:
        """Return a case with its reference and its prediction.

        Raises:
            UnreadableFileError: when it has no prediction.
        """
        if not Path(case[PREDICTION]).exists():
            raise UnreadableFileError(
                case[PREDICTION], "there is no prediction of this case", "add it, or evaluate a split without the case"
            )
        loaded: dict[str, Any] = self.transform(case)
        return loaded


def _find_table(path: Path) -> Path:
    if path.is_file():
        return path
    tables = sorted(path.glob("*.csv"))
    if len(tables) != 1:
        found = ", ".join(table.name for table in tables) or "none"
        raise DatalistError(f"predictions {path}: one table .csv is needed, found {found}; pass --predictions FILE.")
    return tables[0]
