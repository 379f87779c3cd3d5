"""Names of the values in a label."""

from __future__ import annotations

from typing import Any

import pytest

from bundle.server.label_info import describe_structures, make_label_table, match_names, read_label_info
from bundle.server.label_tasks import TASKS
from bundle.server.server_errors import RequestError


@pytest.mark.parametrize(
    "declared",
    [
        [{"name": "posterior", "idx": 1}, {"name": "anterior", "idx": 2}],
        [{"name": "anterior", "idx": "2"}, {"name": "posterior", "idx": "1"}, {"name": "background", "idx": 0}],
        [{"name": "posterior"}, {"name": "anterior", "color": [1, 0, 0]}],
        {"background": 0, "posterior": 1, "anterior": 2},
    ],
)
def test_values_have_names_in_every_form_that_clients_send(declared: Any) -> None:
    assert read_label_info({"label_info": declared}, "l") == {1: "posterior", 2: "anterior"}


@pytest.mark.parametrize("info", [{}, {"label_info": None}, {"label_info": []}])
def test_labels_may_have_no_names(info: dict[str, Any]) -> None:
    assert read_label_info(info, "l") == {}


@pytest.mark.parametrize(
    "declared", ["anterior", ["anterior"], [{"idx": 1}], [{"name": "a", "idx": 0}], {"a": -1}, {"a": "x"}, {"a": 1.5}]
)
def test_other_forms_are_refused(declared: Any) -> None:
    with pytest.raises(RequestError, match=r"l: label_info contains .*; an entry is a name and a value") as error:
        read_label_info({"label_info": declared}, "l")
    assert error.value.status == 400


def test_a_value_has_one_name() -> None:
    with pytest.raises(RequestError, match="gives the value 1 to 'a' and to 'b'; take it from one"):
        read_label_info({"label_info": {"a": 1, "b": 1}}, "l")


def test_case_and_spaces_of_names_do_not_matter() -> None:
    assert match_names(["Seborrheic Keratosis", "nevus"], ["melanoma", "seborrheic_keratosis"]) == {
        "Seborrheic Keratosis": "seborrheic_keratosis"
    }


def test_structures_of_other_tasks_are_background() -> None:
    names = {1: "Posterior", 4: "posterior", 2: "ANTERIOR", 3: "C2-C3"}
    assert make_label_table(names, TASKS[0]) == {"posterior": [1, 4], "anterior": [2], "background": [3]}
    assert make_label_table(names, TASKS[1]) == {"C2-C3": [3], "background": [1, 4, 2]}
    assert make_label_table({1: "liver"}, TASKS[0]) == {}


def test_structures_are_described_by_task() -> None:
    assert describe_structures(TASKS[:1]) == (
        "anterior = 1, posterior = 2, left_anterior = 11, left_posterior = 12, right_anterior = 21, "
        "right_posterior = 22, ignore (volumes)"
    )
    assert "C1-C2 = 2, " in describe_structures(TASKS[:2])
    assert describe_structures(TASKS[:2]).endswith(", ... (discs)")
