from __future__ import annotations

from typing import Any

import pytest
import torch

from bundle.server.label_tasks import TASKS
from bundle.server.request_values import find_task, read_bool, read_device, read_int, read_number
from bundle.server.server_errors import RequestError


@pytest.mark.parametrize("asked", [None, "", [], "cuda", "cpu", ("cpu",)])
def test_a_missing_device_is_replaced_by_the_cpu(asked: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert read_device({"device": asked}) == "cpu"


@pytest.mark.parametrize("value", ["$__import__('os')", "cpu') or print('", "cpu:1", "abacus"])
def test_an_unknown_device_is_refused(value: str) -> None:
    """A config would evaluate a text that begins with a dollar sign."""
    with pytest.raises(RequestError, match="device must be one of") as caught:
        read_device({"device": value})
    assert caught.value.status == 400


@pytest.mark.parametrize(("value", "number"), [(0.25, 0.25), ("0.25", 0.25), (0, 0.0)])
def test_a_number_is_read_from_numbers_and_text(value: Any, number: float) -> None:
    assert read_number({"fraction": value}, "fraction", 0.5, low=0, below=1) == number


def test_missing_values_have_defaults() -> None:
    assert read_number({}, "fraction", 0.5, low=0) == 0.5
    assert read_int({}, "epochs", 3) == 3
    assert read_bool({}, "pretrained", True) is True


@pytest.mark.parametrize("value", [-0.1, 1, "x", None, True, "nan", [1]])
def test_invalid_numbers_are_refused(value: Any) -> None:
    with pytest.raises(RequestError, match="fraction must be a number, 0 or more and below 1, got") as caught:
        read_number({"fraction": value}, "fraction", 0.5, low=0, below=1)
    assert caught.value.status == 400


@pytest.mark.parametrize("value", [0, -1, "two"])
def test_an_integer_has_a_minimum(value: Any) -> None:
    with pytest.raises(RequestError, match="epochs must be a number, 1 or more, got"):
        read_int({"epochs": value}, "epochs", 3)


def test_an_integer_has_no_decimals() -> None:
    assert read_int({"epochs": "2"}, "epochs", 3) == 2
    with pytest.raises(RequestError, match=r"epochs must be an integer, got 1\.5"):
        read_int({"epochs": 1.5}, "epochs", 3)


def test_a_boolean_is_true_or_false() -> None:
    assert read_bool({"pretrained": "false"}, "pretrained", True) is False
    with pytest.raises(RequestError, match="pretrained must be true or false, got 'perhaps'") as caught:
        read_bool({"pretrained": "perhaps"}, "pretrained", True)
    assert caught.value.status == 400


def test_the_first_task_is_the_default() -> None:
    tasks = {task.name: task for task in TASKS[:2]}
    assert find_task({}, tasks) is TASKS[0]
    assert find_task({"model": "discs"}, tasks) is TASKS[1]


@pytest.mark.parametrize("known", [0, 2])
def test_an_unknown_task_is_refused(known: int) -> None:
    tasks = {task.name: task for task in TASKS[:known]}
    with pytest.raises(RequestError, match="available: " + (", ".join(tasks) or "none")) as caught:
        find_task({"model": "lesions"}, tasks)
    assert caught.value.status == 404
