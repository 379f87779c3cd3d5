"""A path that monai.bundle has rewritten is refused, with what to pass instead."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from bundle.utils.path_options import check_path_options

MONAI = "/site-packages/monai/bundle/__main__.py"


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", [MONAI, "run", *arguments])


@pytest.mark.parametrize(
    ("given", "received"),
    [
        ("2026_11_28", 20261128),
        ("1e5", 100000.0),
        ("True", True),
        ("[a]", ["a"]),
        ("run#3", "run"),
        ("a/run#3", "a/run::3"),
        ("'P#1'", "P::1"),
    ],
)
@pytest.mark.parametrize("form", ["--output_dir {}", "--output_dir={}", "--output-dir {}"])
def test_a_rewritten_path_is_refused(given: str, received: Any, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    call(monkeypatch, *form.format(given).split(" "))
    with pytest.raises(ValueError, match=r"^output_dir: .* reaches the workflow as ") as caught:
        check_path_options(input="in", output_dir=received)
    assert ("Use a path without '#'" if "#" in given else f"Pass --output_dir ./{given}") in str(caught.value)


@pytest.mark.parametrize(
    ("given", "received"),
    [("out", "out"), ("./2026_11_28", "./2026_11_28"), ("'2026_11_28'", "2026_11_28"), ("@dataset_dir", "/data")],
)
def test_a_path_as_the_user_named_it_passes(given: str, received: str, monkeypatch: pytest.MonkeyPatch) -> None:
    call(monkeypatch, "--output_dir", "earlier", "--output_dir", given)
    check_path_options(output_dir=received, input=Path("x"), datalist=None)


def test_without_the_command_only_the_value_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["pytest", "--output_dir", "other"])
    check_path_options(output_dir="out")
    with pytest.raises(ValueError, match="dataset_dir: '7' reaches the workflow as '7'"):
        check_path_options(dataset_dir=7)
    with pytest.raises(ValueError, match="input: 'a#b' reaches the workflow as 'a::b'"):
        check_path_options(input="a::b")
    (tmp_path / "a::b").touch()
    check_path_options(input=str(tmp_path / "a::b"))
