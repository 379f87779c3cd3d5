"""Loading of a reference and a prediction of it, both label maps or both masks."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.data import MetaTensor
from monai.transforms import Transform

from bundle.utils.label_names import structures_of

from .input_checks import check_same_grid
from .label_tables import LabelValues
from .load_image import LoadColorImaged
from .load_volume import LoadVolumed

Values = Mapping[str, int]

ANY_SPACING = (0.0, float("inf"))


class LoadLabelMaps(Transform):
    """Load the label map ``"label"`` and the prediction ``"prediction"`` of a case, the latter as ``"pred"``.

    Both must lie on the same grid, and their values be those of the dataset.

    Args:
        classes: class by the name of the structure; None for any values.
        label_values: values in the files that belong to a class, see :class:`bundle.io.LoadVolumed`.
        ignore_label: value in the reference of voxels that nobody labeled.
        prediction_values: ``"files"`` for predictions with the values of the label maps, ``"classes"`` for those with
            the classes, as this bundle writes them. The two differ only where there are ``label_values``.

    Raises:
        ValueError: when ``prediction_values`` is neither.
    """

    def __init__(
        self,
        *,
        classes: Values | None = None,
        label_values: LabelValues | None = None,
        ignore_label: int | None = None,
        prediction_values: str = "files",
    ) -> None:
        if prediction_values not in ("files", "classes"):
            raise ValueError(f"prediction_values must be 'files' or 'classes', got {prediction_values!r}.")
        values = label_values if prediction_values == "files" else None
        shared: dict[str, Any] = {"classes": classes, "spacing_range": ANY_SPACING}
        self.reference = LoadVolumed("label", label_values=label_values, ignore_label=ignore_label, **shared)
        self.prediction = LoadVolumed("prediction", label_key="prediction", label_values=values, **shared)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Load and check.

        Raises:
            BadInputError: of the type that says what is wrong.
        """
        label = self.reference(data)["label"]
        pred = self.prediction(data)["prediction"]
        check_same_grid(
            data["label"], label, data["prediction"], pred, remedy="resample the prediction to the grid of the label"
        )
        return {**data, "label": label, "pred": pred}


class LoadMasks(Transform):
    """Load the mask ``"label"`` and the prediction ``"prediction"`` of a 2D image, the latter as ``"pred"``.

    ``"pred"`` holds probabilities of 0 or 1: ``(1, H, W)`` of a single class, else ``(1 + C, H, W)`` with the
    background first.

    Args:
        classes: class numbers by name.
        load: loads image and label, see :class:`bundle.io.LoadColorImaged`.
        levels: gray level of every class in the predictions.
        round_levels: take the nearest level.
        resize_mask: bring a prediction of another size but the same aspect ratio to the size of its image.
    """

    def __init__(
        self,
        *,
        classes: Values,
        load: Callable[..., Any],
        levels: Sequence[int] = (255,),
        round_levels: bool | str = False,
        resize_mask: bool | str = False,
    ) -> None:
        self.count, self.load = len(structures_of(classes)), load
        self.prediction = LoadColorImaged(
            ["image", "prediction"],
            label_key="prediction",
            levels=levels,
            round_levels=round_levels,
            resize_mask=resize_mask,
        )

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Load and check.

        Raises:
            BadInputError: of the type that says what is wrong.
        """
        loaded = self.load(dict(data))
        mask = self.prediction(dict(data))["prediction"].as_tensor()
        numbers = range(self.count + 1) if self.count > 1 else range(1, 2)
        pred = torch.cat([(mask == number).float() for number in numbers])
        return {**data, "label": loaded["label"], "pred": MetaTensor(pred)}
