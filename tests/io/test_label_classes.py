"""Values of label maps become classes, and none is lost unless the table says so."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from helpers.phantoms import meta_tensor

from bundle.io.input_checks import LabelValuesError
from bundle.io.label_classes import LabelMap, check_label
from bundle.io.label_tables import LabelTableError

TABLE: dict[str, Any] = {"cortex": [3, "40-43"], "stem": [16]}


def volume(*values: float) -> Any:
    return meta_tensor(np.array(values, dtype=np.float32).reshape(1, 1, 1, -1), np.diag([2.0, 2, 2, 1]))


def test_many_values_make_one_class_and_the_geometry_stays() -> None:
    label = volume(0, 3, 16, 40, 43)
    mapped = LabelMap(TABLE, {"stem": 1, "cortex": 2})("a", label)
    assert mapped.flatten().tolist() == [0, 2, 1, 2, 2]
    assert mapped.dtype == torch.float32
    assert torch.equal(mapped.affine, label.affine)


def test_it_agrees_with_a_loop_over_voxels() -> None:
    values = np.random.default_rng(0).choice([0, 3, 16, 40, 41, 42, 43], size=(1, 5, 6, 7)).astype(np.float32)
    mapped = LabelMap(TABLE)("a", meta_tensor(values)).numpy()
    wanted = np.vectorize(lambda value: 0 if value == 0 else 2 if value == 16 else 1)(values)
    np.testing.assert_array_equal(mapped, wanted)


@pytest.mark.parametrize("value", [44, -1, 70000])
def test_a_value_that_no_structure_has_is_an_error(value: float) -> None:
    with pytest.raises(LabelValuesError, match=rf"a: holds the values {value:g}, which label_values give to no"):
        LabelMap(TABLE)("a", volume(0, value, 3))


def test_values_of_the_background_and_others_become_0() -> None:
    assert LabelMap({**TABLE, "background": [5]})("a", volume(5, 3)).flatten().tolist() == [0, 1]
    others = LabelMap({**TABLE, "background": "others"})
    assert others("a", volume(7, 44, 16)).flatten().tolist() == [0, 0, 2]
    with pytest.raises(LabelValuesError, match=r"holds the values 0\.5"):
        others("a", volume(0.5))


def test_many_foreign_values_are_cut_short() -> None:
    with pytest.raises(LabelValuesError, match=r"100, 101, 102, 103, 104, 105, 106, 107, \.\.\., which"):
        LabelMap(TABLE)("a", volume(*range(100, 120)))


def test_other_names_than_those_of_the_classes_are_refused() -> None:
    with pytest.raises(LabelTableError, match="names the structures cortex, stem, the classes are cortex"):
        LabelMap(TABLE, {"cortex": 1})


def test_label_values_outside_the_classes_are_listed() -> None:
    label = torch.tensor([0.0, 1, 2, 5]).reshape(1, 1, 2, 2)
    check_label("label.nii.gz", label, [0, 1, 2, 5])
    with pytest.raises(LabelValuesError, match=r"values 2, 5, which are none of the classes \[0, 1\]"):
        check_label("label.nii.gz", label, [1, 0])


def test_label_values_between_the_classes_are_listed_up_to_eight() -> None:
    label = torch.linspace(0.05, 0.95, 10).reshape(1, 1, 2, 5)
    with pytest.raises(LabelValuesError, match=r"0\.05, 0\.15, .*0\.75, \.\.\.,"):
        check_label("label.nii.gz", label, [0, 1])
