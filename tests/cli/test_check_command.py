"""`check` passes its options on; its exit status tells whether there are faults."""

from __future__ import annotations

from typing import Any

import pytest

from bundle.cli.main import main


def check(monkeypatch: pytest.MonkeyPatch, faults: list[str], *words: str) -> tuple[int, Any]:
    """Return the exit status, and the arguments of the check, which finds the faults."""
    called: list[Any] = []

    def check_dataset(*call: Any, **options: Any) -> dict[str, Any]:
        called.append((call, options))
        return {"faults": faults}

    monkeypatch.setattr("bundle.check.dataset_check.check_dataset", check_dataset)
    try:
        status = main(["check", "data", *words])
    except SystemExit as end:
        status = int(end.code or 0)
    return status, called[0]


def test_without_options_the_defaults_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    status, (call, options) = check(monkeypatch, [])
    assert (status, call) == (0, ("data", None, None))
    assert options == {
        "label_names": None,
        "levels": [255],
        "round_levels": False,
        "spacing_range": [0.1, 10.0],
        "workers": None,
        "command": "python -m bundle check data",
    }


def test_options_reach_the_check(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["--label_names", '{"liver": 1}', "--levels", "128", "255", "--spacing_range", "0.5", "3", "--workers", "2"]
    _, (_, options) = check(monkeypatch, [], *words)
    assert (options["label_names"], options["levels"]) == ({"liver": 1}, [128, 255])
    assert (options["spacing_range"], options["workers"]) == ([0.5, 3.0], 2)


def test_faults_give_status_2(monkeypatch: pytest.MonkeyPatch) -> None:
    assert check(monkeypatch, ["a.nii.gz"])[0] == 2
