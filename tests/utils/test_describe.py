"""Settings that differ are described differently, and equal ones alike."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from monai.transforms import Compose, Lambdad, ScaleIntensityd

from bundle.transforms import StandardizeIntensityd
from bundle.utils.describe import describe


class Slotted:
    __slots__ = ("value",)


def plus(amount: int, value: int = 0) -> int:
    return value + amount


def looks(value: Any) -> str:
    return json.dumps(describe(value), sort_keys=True)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, 2),
        ("a", "b"),
        (None, False),
        ([1, 2], [2, 1]),
        ({"a": 1}, {"a": 2}),
        ({"a", "b"}, {"a", "c"}),
        (np.ones(2), np.zeros(2)),
        (torch.ones(2), torch.ones(2, dtype=torch.float64)),
        (torch.float32, torch.float16),
        (Path("a"), Path("b")),
        (int, float),
        (StandardizeIntensityd("image"), StandardizeIntensityd("image", percentiles=[1, 99])),
        (Compose([ScaleIntensityd("image", 0, 1)]), Compose([ScaleIntensityd("image", 0, 2)])),
        (torch.nn.Conv3d(1, 2, 3), torch.nn.Conv3d(1, 2, (3, 3, 1))),
        (torch.nn.Sequential(torch.nn.ReLU()), torch.nn.Sequential(torch.nn.ELU())),
        (looks, plus),
        (len, max),
        (partial(np.clip, a_min=0), partial(np.clip, a_min=1)),
        (partial(max, 1), partial(max, 2)),
        (partial(plus, 1), partial(looks, 1)),
        (Compose([Lambdad("image", partial(plus, 1))]), Compose([Lambdad("image", partial(plus, 2))])),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_differs_is_described_differently_and_what_is_equal_alike(one: Any, other: Any) -> None:
    assert looks(one) == looks(one)
    assert looks(one) != looks(other)


def test_a_lambda_has_no_name_to_know_it_by() -> None:
    function = lambda value: value + 1  # noqa: E731 - the case at hand
    assert looks(function) != looks(function)
    assert looks(Compose([Lambdad("image", function)])) != looks(Compose([Lambdad("image", function)]))
    assert describe([function], lambdas="lambda") == ["lambda"]


def test_an_optimizer_is_described_by_its_options_and_not_by_weights() -> None:
    one, other = (torch.optim.SGD([torch.nn.Parameter(torch.full((1,), value))], lr=0.1) for value in (1.0, 2.0))
    assert describe(one) == describe(other)
    assert (describe(one)["class"], describe(one)["lr"]) == ("torch.optim.sgd.SGD", 0.1)


def test_a_number_of_numpy_is_a_number() -> None:
    assert describe([np.int64(2), np.float32(0.5)]) == [2, 0.5]


def test_what_does_not_matter_is_not_described() -> None:
    network = torch.nn.Dropout()
    before = looks(network)
    assert looks(network.eval()) == before
    one, other = (SimpleNamespace(_cache=shown, kept=1) for shown in (True, False))
    assert looks(one) == looks(other)
    assert looks(Slotted()) == looks(Slotted())


def test_what_holds_itself_can_be_described() -> None:
    value = SimpleNamespace()
    value.itself = [value]
    assert looks(value) == looks(value)
