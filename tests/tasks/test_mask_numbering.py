from __future__ import annotations

import logging

import numpy as np
import pytest

from bundle.io.input_checks import LabelValuesError
from bundle.tasks.spine.discs.levels import LEVEL_NAMES, VARIANT_NAMES
from bundle.tasks.spine.mask_numbering import MASK_NUMBERINGS, MaskKind, MaskNumbering, renumber_mask

L5, S1 = 24, 25


@pytest.mark.parametrize(
    ("numbering", "values", "numbers"),
    [
        ("sct", [1, 8, 20, 24, 25], [1, 8, 20, L5, S1]),
        ("verse", [1, 8, 20, 24, 26, 27, 124, 224], [1, 8, 20, L5, S1, 0, 0, 0]),
        ("totalspineseg", [1, 11, 17, 21, 32, 41, 45, 50, 100], [0, 1, 7, 8, 19, 20, L5, S1, 0]),
        ("spider", [24, 17, 6, 5, 1, 100, 106, 201], [1, 8, 19, 20, L5, 0, 0, 0]),
    ],
)
def test_vertebrae_get_their_numbers(numbering: MaskNumbering, values: list[int], numbers: list[int]) -> None:
    renumbered = renumber_mask("mask.nii.gz", np.array([[0, *values]], np.float32), numbering)
    assert renumbered.tolist() == [[0, *numbers]]
    assert renumbered.dtype == np.uint8


@pytest.mark.parametrize(
    ("numbering", "values", "numbers"),
    [
        ("sct", [2, 20, 25], [2, 20, 25]),
        ("verse", [24, 102, 119, 124, 226], [0, 3, 20, 25, 0]),
        ("totalspineseg", [2, 50, 63, 71, 91, 95, 100], [0, 0, 3, 8, 20, 24, 25]),
        ("spider", [1, 100, 201, 206, 223], [0, 0, 25, 20, 3]),
    ],
)
def test_discs_get_the_number_of_the_vertebra_below(
    numbering: MaskNumbering, values: list[int], numbers: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        assert renumber_mask("mask.nii.gz", np.array(values), numbering, kind="discs").tolist() == numbers
    assert ("skipped the values of other structures than discs" in caplog.text) == (0 in numbers)


def test_every_numbering_has_all_lumbar_vertebrae_and_discs() -> None:
    for numbering in MASK_NUMBERINGS:
        for kind in ("vertebrae", "discs"):
            found = set()
            for value in range(1, 300):
                try:
                    found |= set(renumber_mask("m", np.array([value]), numbering, kind=kind).tolist())
                except LabelValuesError:
                    continue
            assert set(range(20, 25)) <= found <= {0, *LEVEL_NAMES, *VARIANT_NAMES}


@pytest.mark.parametrize(
    ("numbering", "value", "name"),
    [("totalspineseg", 47, "L7"), ("totalspineseg", 46, "L6")],
)
@pytest.mark.parametrize("kind", ["discs"])
def test_a_vertebra_without_a_number_is_named(numbering: MaskNumbering, value: int, name: str, kind: MaskKind) -> None:
    mask = np.array([0, value, 45, 100])
    with pytest.raises(LabelValuesError, match=rf"mask.nii.gz: holds {name} \({value}\), for which there is no number"):
        renumber_mask("mask.nii.gz", mask, numbering, kind=kind)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            [24, 26],
            r"holds the values 26, which are no vertebrae in the numbering sct; .* pass --numbering verse\.",
        ),
        ([41, 50], r"holds the values 41, 50, which .* --numbering totalspineseg\."),
        ([1, 100, 201], r"holds the values 100, 201, which .* --numbering spider\."),
        ([276, 277], r"holds the values 276, 277, which .* correct the mask, or pass its --numbering: sct, verse, "),
        ([-1, 24], r"holds the values -1, which"),
        ([23.5, 24], r"holds the values 23\.5, 24, and fractions are no labels"),
        ([], r"is empty; correct the mask"),
    ],
)
def test_other_values_are_named_with_the_numbering_that_fits(values: list[float], message: str) -> None:
    with pytest.raises(LabelValuesError, match=message):
        renumber_mask("mask.nii.gz", np.array([0, *values]))


def test_a_mask_of_other_structures_is_refused() -> None:
    with pytest.raises(LabelValuesError, match=r"holds the values 1, 2, but no discs in the numbering tot"):
        renumber_mask("mask.nii.gz", np.array([0, 1, 2]), "totalspineseg", kind="discs")
    for options in ({"numbering": "own"}, {"kind": "cord"}):
        with pytest.raises(ValueError, match=r"must be one of"):
            renumber_mask("mask.nii.gz", np.array([1]), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("numbering", "kind", "values", "numbers"),
    [
        ("verse", "vertebrae", [24, 25, 26], [24, 245, 255]),
        ("verse", "vertebrae", [19, 28, 20, 21], [19, 195, 205, 21]),
        ("verse", "discs", [123, 124, 125], [24, 245, 255]),
        ("verse", "discs", [118, 119, 128, 120], [19, 195, 205, 21]),
        ("verse", "discs", [25, 124], [0, 245]),
        ("totalspineseg", "vertebrae", [45, 46, 50], [24, 245, 255]),
    ],
)
def test_next_to_t13_and_l6_values_mean_other_vertebrae_and_discs(
    numbering: MaskNumbering, kind: MaskKind, values: list[int], numbers: list[int]
) -> None:
    assert renumber_mask("m", np.array([0, *values]), numbering, kind=kind).tolist() == [0, *numbers]


@pytest.mark.parametrize("value", [195, 205, 245, 255])
def test_a_mask_of_the_spinal_cord_toolbox_has_no_such_value(value: int) -> None:
    """A binary mask with the value 255 is no L6-S1."""
    with pytest.raises(LabelValuesError, match=f"holds the values {value}"):
        renumber_mask("m", np.array([0, value]))
